# lra_fuzzed(TARGET FILES...): sources that read what users supply, relative to the current folder. With LRA_FUZZERS
# libFuzzer sees which branches of them an input takes, and a number that does not fit the integer it is turned into is
# an error.
if(LRA_FUZZERS AND NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  message(FATAL_ERROR "LRA_FUZZERS needs Clang, not ${CMAKE_CXX_COMPILER_ID}: configure with --preset clang")
endif()
function(lra_fuzzed target)
  if(LRA_FUZZERS)
    set(sources ${ARGN})
    list(TRANSFORM sources PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
    set_property(
      SOURCE ${sources}
      TARGET_DIRECTORY ${target}
      APPEND
      PROPERTY COMPILE_OPTIONS -fsanitize=fuzzer-no-link,float-cast-overflow)
  endif()
endfunction()

# lra_add_plugin(NAME SOURCES...): a shared object libNAME.so with mechanisms for `lra --plugin`. Each source ends in a
# Registration, as the files of attention/ do. Optimised unless a build type says otherwise.
function(lra_add_plugin name)
  add_library(${name} MODULE ${ARGN})
  target_link_libraries(${name} PRIVATE lra::plugin)
  set_target_properties(${name} PROPERTIES PREFIX lib SUFFIX .so)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    target_compile_options(${name} PRIVATE -O3)
  endif()
endfunction()

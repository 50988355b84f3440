# Compiler flags of every target, as one interface library.
#
# Floating point stays strict: no -ffast-math, no -Ofast. What is enabled changes no value on its own account:
#   -fno-math-errno, -fno-trapping-math  let loops with comparisons and square roots become vector code
#   -fopenmp-simd                        honours `#pragma omp simd`, the only place where a sum may be reassociated
#   -ffp-contract=fast                   a*b+c as one fused multiply-add, as GCC does by default outside -std=c++NN
add_library(lra_flags INTERFACE)
target_compile_options(
  lra_flags
  INTERFACE -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wold-style-cast -Wnon-virtual-dtor
            -Wno-missing-field-initializers # designated initialisers leave the rest at its default on purpose
            -fno-math-errno -fno-trapping-math -ffp-contract=fast -fopenmp-simd)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # False alarms of GCC 12: uninitialised variables in its own AVX-512 headers, overlaps in string concatenation.
  target_compile_options(lra_flags INTERFACE -Wno-maybe-uninitialized -Wno-uninitialized
                                             -Wno-restrict)
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # Loops marked `omp simd` that Clang leaves scalar are slower, not wrong.
  target_compile_options(lra_flags INTERFACE -Wno-pass-failed)
endif()
if(LRA_WARNINGS_AS_ERRORS)
  target_compile_options(lra_flags INTERFACE -Werror)
endif()
if(LRA_NATIVE)
  target_compile_options(lra_flags INTERFACE -march=native)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(lra_flags INTERFACE -mprefer-vector-width=512)
  endif()
endif()
if(LRA_SANITIZE)
  target_compile_options(lra_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all
                                             -fno-omit-frame-pointer)
  target_link_options(lra_flags INTERFACE -fsanitize=address,undefined)
endif()
if(LRA_SANITIZE_THREADS)
  target_compile_options(lra_flags INTERFACE -fsanitize=thread -fno-omit-frame-pointer)
  target_link_options(lra_flags INTERFACE -fsanitize=thread)
endif()
target_include_directories(lra_flags INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/generated)

# The record keeps the flags a binary was built with.
string(TOUPPER "${CMAKE_BUILD_TYPE}" LRA_BUILD_TYPE_UPPER)
get_target_property(LRA_OPTIONS lra_flags INTERFACE_COMPILE_OPTIONS)
list(FILTER LRA_OPTIONS EXCLUDE REGEX "^-W")
list(JOIN LRA_OPTIONS " " LRA_OPTIONS)
string(STRIP "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${LRA_BUILD_TYPE_UPPER}} ${LRA_OPTIONS}" LRA_FLAGS_TEXT)

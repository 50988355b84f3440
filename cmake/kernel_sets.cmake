# lra_kernel_sets(TARGET PATTERN): one program for every x86-64 processor.
#
# The sources of TARGET whose paths match PATTERN are compiled once for each instruction set below, and
# cmake/kernel_sets.sh joins the results in one object, in which calls of their functions from outside jump through a
# table. At start, engine/isa.cc fills the table from the best set that the processor has. Sources need nothing for
# that: a new file in the folder takes part, `#ifdef __AVX2__` and intrinsics work as in a native build, and no code
# compiled for one set can end up in another or in the rest of the program, templates and inline functions included.
#
# A kernel source may not have data that other folders name, nor objects constructed at start; the script refuses both,
# but for inline variables, of which each set gets its own.

# Every flag here has its check in engine/isa.cc.
set(LRA_KERNEL_SETS sse2 avx2 avx512)
set(LRA_KERNEL_FLAGS_sse2 -march=x86-64)
set(LRA_KERNEL_FLAGS_avx2 -march=x86-64 -mavx2 -mfma -mbmi -mbmi2 -mtune=haswell)
set(LRA_KERNEL_FLAGS_avx512 -march=x86-64 -mavx2 -mfma -mbmi -mbmi2 -mavx512f -mavx512cd -mavx512bw -mavx512dq
                            -mavx512vl -mtune=skylake-avx512 -mprefer-vector-width=512)

function(lra_kernel_sets target pattern)
  get_target_property(kernels ${target} SOURCES)
  set(others ${kernels})
  list(FILTER kernels INCLUDE REGEX "${pattern}")
  list(FILTER others EXCLUDE REGEX "${pattern}")
  set_target_properties(${target} PROPERTIES SOURCES "${others}")
  get_target_property(libraries ${target} LINK_LIBRARIES)

  set(arguments "")
  set(objects "")
  foreach(name IN LISTS LRA_KERNEL_SETS)
    set(set_target ${target}_${name})
    add_library(${set_target} OBJECT ${kernels})
    target_link_libraries(${set_target} PRIVATE ${libraries})
    # Without -fno-gnu-unique, static variables of inline functions stay shared whatever the script does.
    target_compile_options(${set_target} PRIVATE ${LRA_KERNEL_FLAGS_${name}} $<$<CXX_COMPILER_ID:GNU>:-fno-gnu-unique>)
    string(TOUPPER ${name} upper)
    list(JOIN LRA_KERNEL_FLAGS_${name} " " text)
    target_compile_definitions(${target} PRIVATE "LRA_KERNEL_FLAGS_${upper}=\"${text}\"")
    list(APPEND arguments --set ${name} $<TARGET_OBJECTS:${set_target}>)
    list(APPEND objects $<TARGET_OBJECTS:${set_target}>)
  endforeach()

  set(joined ${CMAKE_CURRENT_BINARY_DIR}/${target}_kernels.o)
  add_custom_command(
    OUTPUT ${joined}
    COMMAND
      ${CMAKE_COMMAND} -E env "OUT=${joined}" "LD=${CMAKE_LINKER}" "NM=${CMAKE_NM}" "OBJCOPY=${CMAKE_OBJCOPY}"
      "READELF=${CMAKE_READELF}" "CXX=${CMAKE_CXX_COMPILER}" ${PROJECT_SOURCE_DIR}/cmake/kernel_sets.sh ${arguments}
    DEPENDS ${objects} ${PROJECT_SOURCE_DIR}/cmake/kernel_sets.sh
    COMMAND_EXPAND_LISTS VERBATIM
    COMMENT "Joining the kernels of ${LRA_KERNEL_SETS}")
  set_source_files_properties(${joined} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  target_sources(${target} PRIVATE ${joined})
  target_compile_definitions(${target} PRIVATE LRA_KERNEL_SETS)
endfunction()

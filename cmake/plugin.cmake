# Plug-ins: the program offers them its functions, the installed headers declare those, and a stamp ties the two.

# What a mechanism and an operation are written with. Kernels' own headers (*_kernels.h) are not among them.
set(LRA_PLUGIN_HEADERS
    attention/attention.h
    attention/registry.h
    engine/errors.h
    engine/graph.h
    engine/op.h
    engine/parameters.h
    engine/random.h
    engine/team.h
    engine/tensor.h
    engine/kernels/rows.h
    engine/kernels/vmath.h)
file(GLOB lra_op_headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/engine/ops/*.h)
list(FILTER lra_op_headers EXCLUDE REGEX "_kernels\\.h$")
list(APPEND LRA_PLUGIN_HEADERS ${lra_op_headers})

set(LRA_PLUGIN_STAMP_SOURCE ${PROJECT_BINARY_DIR}/generated/plugin_stamp.cc)
list(TRANSFORM LRA_PLUGIN_HEADERS PREPEND ${PROJECT_SOURCE_DIR}/ OUTPUT_VARIABLE lra_header_paths)
add_custom_command(
  OUTPUT ${PROJECT_BINARY_DIR}/generated/plugin_stamp.h ${LRA_PLUGIN_STAMP_SOURCE}
  COMMAND
    ${CMAKE_COMMAND} "-DHEADER=${PROJECT_BINARY_DIR}/generated/plugin_stamp.h" "-DSOURCE=${LRA_PLUGIN_STAMP_SOURCE}"
    "-DVERSION=${PROJECT_VERSION}" "-DROOT=${PROJECT_SOURCE_DIR}" "-DHEADERS=${LRA_PLUGIN_HEADERS}" -P
    ${PROJECT_SOURCE_DIR}/cmake/plugin_stamp.cmake
  DEPENDS ${lra_header_paths} ${PROJECT_SOURCE_DIR}/cmake/plugin_stamp.cmake
  COMMENT "Stamping the headers of plug-ins"
  VERBATIM)
add_custom_target(lra_plugin_stamp DEPENDS ${PROJECT_BINARY_DIR}/generated/plugin_stamp.h ${LRA_PLUGIN_STAMP_SOURCE})

# What find_package(lra) calls lra::plugin, for plug-ins inside this project (its tests).
add_library(lra_plugin INTERFACE)
add_library(lra::plugin ALIAS lra_plugin)
target_link_libraries(lra_plugin INTERFACE lra_flags fmt::fmt)
target_sources(lra_plugin INTERFACE ${LRA_PLUGIN_STAMP_SOURCE})
include(cmake/lra_add_plugin.cmake)

# lra_host_plugins(PROGRAM): all of the engine is linked in, whether the program uses it or not, and what the headers
# declare is visible to shared objects (cmake/plugin_symbols.txt); nothing else is.
function(lra_host_plugins program)
  set_property(TARGET ${program} PROPERTY LINK_LIBRARY_OVERRIDE WHOLE_ARCHIVE,lra_engine)
  target_link_options(${program} PRIVATE LINKER:--dynamic-list=${PROJECT_SOURCE_DIR}/cmake/plugin_symbols.txt)
  set_property(TARGET ${program} PROPERTY LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/plugin_symbols.txt)
endfunction()

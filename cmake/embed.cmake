# lra_embed(TARGET NAME FILES...): compiles text files into TARGET as `lra::embedded::NAME()`, a list of
# (file name, content), so that the installed program needs no data files beside it.
function(lra_embed target name)
  set(out ${PROJECT_BINARY_DIR}/generated/embedded/${name}.cc)
  add_custom_command(
    OUTPUT ${out}
    COMMAND ${CMAKE_COMMAND} "-DNAME=${name}" "-DOUT=${out}" "-DFILES=${ARGN}" "-DROOT=${PROJECT_SOURCE_DIR}" -P
            ${PROJECT_SOURCE_DIR}/cmake/embed_script.cmake
    DEPENDS ${ARGN} ${PROJECT_SOURCE_DIR}/cmake/embed_script.cmake
    VERBATIM)
  target_sources(${target} PRIVATE ${out})
endfunction()

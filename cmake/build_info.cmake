# lra_build_info(TARGET): gives TARGET the generated header "build_info.h" with version, flags and git commit. The commit
# is looked up at each build (a configure-time value goes stale); the header is rewritten only when it changes.
function(lra_build_info target)
  set(out ${PROJECT_BINARY_DIR}/generated/build_info.h)
  add_custom_target(
    ${target}_build_info
    COMMAND
      ${CMAKE_COMMAND} "-DOUT=${out}" "-DROOT=${PROJECT_SOURCE_DIR}" "-DVERSION=${PROJECT_VERSION}"
      "-DFLAGS=${LRA_FLAGS_TEXT}" "-DEIGEN=${Eigen3_VERSION}" -P ${PROJECT_SOURCE_DIR}/cmake/build_info_script.cmake
    BYPRODUCTS ${out}
    COMMENT "Looking up the git commit"
    VERBATIM)
  add_dependencies(${target} ${target}_build_info)
endfunction()

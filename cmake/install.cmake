# What `cmake --install` and the Debian package hold: the program, the manual, completions, the schema of its records, and
# what plug-ins are built with (headers and a CMake package).
# Presets are compiled in, so that the program needs no file beside it and may be moved.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(LRA_ZSH_COMPLETION_DIR
    ${CMAKE_INSTALL_DATADIR}/zsh/site-functions
    CACHE STRING "Where zsh looks for completions, below the prefix")
find_program(LRA_GZIP gzip REQUIRED)

# lra_printed(FILE ARGUMENTS...): a file that the program prints when it is called with ARGUMENTS.
set(lra_printed_files "")
macro(lra_printed file)
  add_custom_command(
    OUTPUT ${PROJECT_BINARY_DIR}/generated/${file}
    COMMAND lra ${ARGN} > ${PROJECT_BINARY_DIR}/generated/${file}
    DEPENDS lra
    COMMENT "Printing ${file}"
    VERBATIM)
  list(APPEND lra_printed_files ${PROJECT_BINARY_DIR}/generated/${file})
endmacro()
lra_printed(lra.bash completions bash)
lra_printed(_lra completions zsh)
lra_printed(lra.fish completions fish)
lra_printed(lra.1 man)
add_custom_command(
  OUTPUT ${PROJECT_BINARY_DIR}/generated/lra.1.gz
  COMMAND ${LRA_GZIP} -9nkf ${PROJECT_BINARY_DIR}/generated/lra.1
  DEPENDS ${PROJECT_BINARY_DIR}/generated/lra.1
  VERBATIM)
add_custom_target(lra_printed ALL DEPENDS ${lra_printed_files} ${PROJECT_BINARY_DIR}/generated/lra.1.gz)

install(TARGETS lra RUNTIME)
install(FILES ${PROJECT_BINARY_DIR}/generated/lra.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(
  FILES ${PROJECT_BINARY_DIR}/generated/lra.bash
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
  RENAME lra)
install(FILES ${PROJECT_BINARY_DIR}/generated/_lra DESTINATION ${LRA_ZSH_COMPLETION_DIR})
install(FILES ${PROJECT_BINARY_DIR}/generated/lra.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
install(FILES ${PROJECT_SOURCE_DIR}/reports/schema/result.schema.json DESTINATION ${CMAKE_INSTALL_DATADIR}/lra)
foreach(header IN LISTS LRA_PLUGIN_HEADERS)
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${PROJECT_SOURCE_DIR}/${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/lra/${folder})
endforeach()
set(lra_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/lra)
set(lra_program ${CMAKE_INSTALL_BINDIR}/lra)
set(lra_headers ${CMAKE_INSTALL_INCLUDEDIR}/lra)
get_target_property(lra_plugin_options lra_flags INTERFACE_COMPILE_OPTIONS)
list(FILTER lra_plugin_options EXCLUDE REGEX "^-W") # warnings are the author's choice
list(JOIN lra_plugin_options " " lra_plugin_options)
get_target_property(lra_plugin_link_options lra_flags INTERFACE_LINK_OPTIONS)
string(REPLACE ";" " " lra_plugin_link_options "${lra_plugin_link_options}")
string(REGEX REPLACE ".*NOTFOUND$" "" lra_plugin_link_options "${lra_plugin_link_options}")
configure_package_config_file(
  ${PROJECT_SOURCE_DIR}/cmake/lraConfig.cmake.in ${PROJECT_BINARY_DIR}/generated/lraConfig.cmake
  INSTALL_DESTINATION ${lra_package_dir}
  PATH_VARS lra_program lra_headers)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/generated/lraConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(
  FILES ${PROJECT_BINARY_DIR}/generated/lraConfig.cmake ${PROJECT_BINARY_DIR}/generated/lraConfigVersion.cmake
        ${PROJECT_SOURCE_DIR}/cmake/lra_add_plugin.cmake ${LRA_PLUGIN_STAMP_SOURCE}
  DESTINATION ${lra_package_dir})
install(FILES ${PROJECT_SOURCE_DIR}/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(
  DIRECTORY ${PROJECT_SOURCE_DIR}/docs
  DESTINATION ${CMAKE_INSTALL_DOCDIR}
  FILES_MATCHING
  PATTERN "*.md")

# A native program would end in an illegal instruction elsewhere: only portable builds make packages (scripts/package.sh).
if(NOT LRA_NATIVE)
  set(CPACK_GENERATOR DEB)
  set(CPACK_PACKAGE_NAME lra)
  set(CPACK_PACKAGE_CONTACT "lra maintainers <maintainers@lra.invalid>")
  set(CPACK_PACKAGE_DESCRIPTION_SUMMARY ${PROJECT_DESCRIPTION})
  set(CPACK_PACKAGE_DESCRIPTION
      "Trains, measures and compares attention mechanisms on the Long-Range Arena, the\n\
standard benchmark for long sequences, on processors: exact data generators,\n\
oneDNN kernels, and results that repeat to the bit on any number of threads.")
  set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
  set(CPACK_STRIP_FILES ON)
  set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
  set(CPACK_DEBIAN_PACKAGE_SECTION science)
  set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
  set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "ca-certificates") # for `lra data fetch`
  set(CPACK_DEBIAN_PACKAGE_SUGGESTS "cmake, g++, libfmt-dev") # for plug-ins
  include(CPack)
endif()

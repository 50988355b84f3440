# lra_joined(OPTION TARGET...): with OPTION the sources of the targets are compiled several at once, which saves a build
# from nothing what several of them include. Names must differ for that, also in anonymous namespaces; CI tells.
function(lra_joined option)
  if(${option})
    set_target_properties(${ARGN} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 6)
  endif()
endfunction()

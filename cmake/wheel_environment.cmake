# Two repairs for building against ROS 2 from PyPI wheels, brought in by setup.py with CMAKE_PROJECT_wam_ros_INCLUDE so
# that CMakeLists.txt is the same as on a machine with ROS installed.
set(WAM_ROS_BY_PIP TRUE)

# Imported: the wheels' message packages export the Python include folder of the container they were built in, and CMake
# refuses to generate with an include folder that does not exist.
function(strip_missing_includes)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target ${targets})
    get_target_property(folders ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT folders)
      continue()
    endif()
    set(kept)
    foreach(folder ${folders})
      if(folder MATCHES "^\\$<" OR EXISTS "${folder}")
        list(APPEND kept "${folder}")
      endif()
    endforeach()
    set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${kept}")
  endforeach()
endfunction()

# Exported: with the environment inside the checkout, our generated target would export a path below the source folder,
# which CMake refuses as well; such a path is for this build only.
function(keep_source_paths_private)
  get_property(targets DIRECTORY PROPERTY BUILDSYSTEM_TARGETS)
  foreach(target ${targets})
    get_target_property(folders ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT folders)
      continue()
    endif()
    set(kept)
    foreach(folder ${folders})
      string(FIND "${folder}" "${CMAKE_SOURCE_DIR}/" position)
      if(position EQUAL 0)
        set(folder "$<BUILD_INTERFACE:${folder}>")
      endif()
      list(APPEND kept "${folder}")
    endforeach()
    set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${kept}")
  endforeach()
endfunction()

cmake_language(DEFER CALL strip_missing_includes)
cmake_language(DEFER CALL keep_source_paths_private)

# SPDX-License-Identifier: MIT
# shortener_library(NAME SOURCES file... DEPENDS target...): the static library of one folder.
# DEPENDS may name folders below it only; tests/lint/layers checks the #include lines as well.
function(shortener_library name)
    cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
    add_library(${name} STATIC ${ARG_SOURCES})
    target_link_libraries(${name} PUBLIC shortener_flags ${ARG_DEPENDS})
endfunction()

# shortener_unit_test(NAME SOURCES file... DEPENDS target...): one CMocka program, one ctest entry.
function(shortener_unit_test name)
    cmake_parse_arguments(ARG "SERVER" "" "SOURCES;DEPENDS;ENVIRONMENT" ${ARGN})
    set(labels unit)
    if(ARG_SERVER)
        list(APPEND labels server)
    endif()
    string(REPLACE "/" "-" target "test-${name}")
    add_executable(${target} ${ARG_SOURCES})
    target_link_libraries(${target} PRIVATE shortener_flags ${ARG_DEPENDS} PkgConfig::CMOCKA)
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
    add_test(NAME ${name} COMMAND ${target} WORKING_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
    set_tests_properties(${name} PROPERTIES TIMEOUT 1200 LABELS "${labels}" ENVIRONMENT "${ARG_ENVIRONMENT}")
endfunction()

# SPDX-License-Identifier: MIT
# One interface target that carries the language flags of the whole tree.
add_library(shortener_flags INTERFACE)
target_compile_definitions(shortener_flags INTERFACE
    _GNU_SOURCE _FILE_OFFSET_BITS=64 SHORTENER_VERSION="${PROJECT_VERSION}")
target_include_directories(shortener_flags INTERFACE ${PROJECT_SOURCE_DIR}/src)
target_compile_options(shortener_flags INTERFACE
    -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
    -Wold-style-definition -Wvla -Wnull-dereference -Wimplicit-fallthrough -Wswitch-enum -Wundef
    -Wformat=2 -Wpointer-arith -Wwrite-strings -Wredundant-decls -Wdate-time
    -fno-strict-aliasing -fno-common
    -ffile-prefix-map=${PROJECT_SOURCE_DIR}=.)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    target_compile_options(shortener_flags INTERFACE -Wlogical-op -Wduplicated-cond -Wduplicated-branches)
endif()
if(SHORTENER_WERROR)
    target_compile_options(shortener_flags INTERFACE -Werror)
endif()
if(SHORTENER_SANITIZE)
    target_compile_options(shortener_flags INTERFACE
        -fsanitize=${SHORTENER_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    target_link_options(shortener_flags INTERFACE -fsanitize=${SHORTENER_SANITIZE})
endif()
if(SHORTENER_FUZZ)
    target_compile_options(shortener_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(SHORTENER_COVERAGE)
    target_compile_options(shortener_flags INTERFACE --coverage)
    target_link_options(shortener_flags INTERFACE --coverage)
endif()

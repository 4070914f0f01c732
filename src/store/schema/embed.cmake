# SPDX-License-Identifier: MIT
# cmake -DSERIES=sqlite -DOUTPUT=file.c -DFILES="a.sql;b.sql" -P embed.cmake
# Writes the numbered SQL files of one series as a table of C strings. A file's number is its
# version; a gap or a repetition stops the build.
set(rows "")
set(expected 0)
foreach(file IN LISTS FILES)
    math(EXPR expected "${expected} + 1")
    get_filename_component(name ${file} NAME_WE)
    if(NOT name MATCHES "^([0-9][0-9][0-9][0-9])-[a-z-]+$")
        message(FATAL_ERROR "${file}: not NNNN-name.sql")
    endif()
    math(EXPR version "1${CMAKE_MATCH_1} - 10000")
    if(NOT version EQUAL expected)
        message(FATAL_ERROR "${file}: expected number ${expected}")
    endif()
    file(READ ${file} text)
    string(REPLACE "\\" "\\\\" text "${text}")
    string(REPLACE "\"" "\\\"" text "${text}")
    string(REPLACE "\n" "\\n\"\n         \"" text "${text}")
    string(APPEND rows "        {${version}, \"${name}\",\n         \"${text}\"},\n")
endforeach()
file(WRITE ${OUTPUT}
"/* Made by src/store/schema/embed.cmake from the SQL files beside it. */
#include \"store/schema/schema.h\"

const SchemaMigration schema_${SERIES}[] = {
${rows}};
const size_t n_schema_${SERIES} = ${expected};
")

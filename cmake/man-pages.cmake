# SPDX-License-Identifier: Apache-2.0 OR MIT
# Writes the man pages from the command's own help: cmake -DVRIFT=.../bin/vrift -DDIR=docs/man -P man-pages.cmake
execute_process(COMMAND ${VRIFT} help --man OUTPUT_FILE ${DIR}/vrift.1 COMMAND_ERROR_IS_FATAL ANY)
file(STRINGS ${DIR}/vrift.1 commands REGEX "^.BR vrift.-[a-z]+ ")
foreach(line IN LISTS commands)
    string(REGEX REPLACE "^.BR vrift.-([a-z]+) .*" "\\1" name "${line}")
    execute_process(COMMAND ${VRIFT} help --man ${name} OUTPUT_FILE ${DIR}/vrift-${name}.1 COMMAND_ERROR_IS_FATAL ANY)
endforeach()

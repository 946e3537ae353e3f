#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# man-example.sh PAGE: the program in a manual page, between its "example begin" and "example end".
exec sed -n -e '/example begin/,/example end/{' -e '/^[.]/!{s/\\e/\\/g;p' -e '}' -e '}' "$1"

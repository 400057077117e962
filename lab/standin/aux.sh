#!/bin/sh
# Runs the program of this script's name with the libraries beside it.
name=${0##*/} here=${0%/*}/debian
case $name in
*tables*) program=xtables-nft-multi && set -- "$name" "$@" ;;
*) program=$name ;;
esac
LD_LIBRARY_PATH=$here/lib XTABLES_LIBDIR=$here/xtables exec "$here/$program" "$@"

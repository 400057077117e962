/* Debian puts this header one folder higher than the program looks for it. */
#include <miniaudio.h>

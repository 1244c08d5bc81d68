/* The program's version: the one place where it stands. */
#ifndef DGLD_CORE_VERSION_H
#define DGLD_CORE_VERSION_H

#define DGLD_VERSION "0.1.0"

#endif

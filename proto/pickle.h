/* Python's pickle format, protocol 2, as far as PyTorch's archives need it: what is written here
 * PyTorch reads, in Python and in C++.
 *
 * A pickle is a program for a machine with a stack. Each function appends one instruction, or the
 * few that push one value, to a text; what a value needs stands before it: a tuple is a mark, its
 * items and PICKLE_TUPLE; an object of a class is the class, PICKLE_EMPTY_TUPLE, PICKLE_NEW_OBJECT,
 * then its attributes as a dictionary, and PICKLE_BUILD. A failed allocation is remembered by the
 * text. Thread-safe for different texts. */
#ifndef DGLD_PROTO_PICKLE_H
#define DGLD_PROTO_PICKLE_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/text.h"

/* The instructions that stand alone, by their bytes in the file. */
enum pickle_op {
    PICKLE_MARK = '(',
    PICKLE_TUPLE = 't', /* of all since the mark */
    PICKLE_EMPTY_TUPLE = ')',
    PICKLE_EMPTY_DICT = '}',
    PICKLE_SET_ITEMS = 'u', /* keys and values since the mark, into the dictionary before it */
    PICKLE_NEW_OBJECT = 0x81,
    PICKLE_BUILD = 'b',         /* an object from a dictionary */
    PICKLE_REDUCE = 'R',        /* a call: a function and a tuple of arguments become its result */
    PICKLE_PERSISTENT_ID = 'Q', /* what is kept elsewhere, under this value */
    PICKLE_NONE = 'N',
};

/* A pickle's first instruction, and its last: the value on the stack is what it holds. */
void pickle_begin(struct text *out);
void pickle_end(struct text *out);

void pickle_op(struct text *out, enum pickle_op op);
void pickle_bool(struct text *out, bool value);

/* In as few bytes as there is an instruction for. */
void pickle_int(struct text *out, int64_t value);

/* UTF-8, below 4 GiB. */
void pickle_string(struct text *out, const char *value);

/* A class or function; neither part holds a line break. */
void pickle_global(struct text *out, const char *module, const char *name);

#endif

/* A network as a TorchScript archive, which torch.jit.load() reads: a zip of stored entries below
 * the folder network/. For each weight an entry of its bytes, aligned; data.pkl, the module as an
 * object with its attributes, where the weights are places; code/__torch__.py, the classes of the
 * modules and forward(). What is known of the network beside that is under extra/, for the
 * `_extra_files` of torch.jit.load(): the keys of proto/network_facts.h.
 *
 * Modules nest as the graph's names say, so that the state_dict() has the very keys of the
 * initializers of the ONNX, and their values. forward(input) takes any number of images and gives
 * their logits. The network is in eval mode.
 *
 * The same network gives the same bytes. Weights are drawn while they are written, never held. */
#ifndef DGLD_PROTO_TORCHSCRIPT_H
#define DGLD_PROTO_TORCHSCRIPT_H

#include <stdint.h>

#include "core/graph.h"
#include "proto/text.h"
#include "proto/zip_stream.h"

enum { TORCHSCRIPT_ALIGNMENT = 64 }; /* of the weights in the file; PyTorch may map them */

/* Writes the archive; `n_bytes` receives its size. ERR_NOMEM; ERR_LIMIT, before anything is written,
 * for one of 4 GiB or more; ERR_INTERNAL where there is no libzip; what the sink fails with.
 * Thread-safe for different sinks. */
enum err torchscript_write(const struct graph *graph, zip_stream_put *put, void *sink,
                           uint64_t *n_bytes, struct error *err);

/* The two parts that are texts. Neither fails but for memory, which the texts remember. */

/* The source of the modules' classes. */
void torchscript_put_code(const struct graph *graph, struct text *out);

/* The pickle of the network as an object; weight w is in the storage named by its number. */
void torchscript_put_object(const struct graph *graph, struct text *out);

#endif

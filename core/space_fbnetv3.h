/* Sizes of the FBNetV3 search space that other modules of core rely on. */
#ifndef DGLD_CORE_SPACE_FBNETV3_H
#define DGLD_CORE_SPACE_FBNETV3_H

#include "core/space.h"

enum { FBNETV3_N_GENES = 28, FBNETV3_N_STAGES = 7 };

/* Features for the predictor `cost`: core/features_fbnetv3.c. */
extern const struct space_features fbnetv3_features;

#endif

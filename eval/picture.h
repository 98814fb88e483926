// Quality against bytes, as a picture.
#ifndef KEDGE_EVAL_PICTURE_H_
#define KEDGE_EVAL_PICTURE_H_

#include <string>

#include "eval/results.h"

namespace kedge {

// An SVG of two panels over one axis, the share of a full cache's bytes that moves (logarithmic): right answers above,
// perplexity relative to full attention below. One line for each policy, through its prompt lengths; its number stands
// at the longest one, and beside the panels in the list of names. REQUIRES: `full` is among the policies.
std::string QualityPicture(const EvalResults& results);

}  // namespace kedge

#endif  // KEDGE_EVAL_PICTURE_H_

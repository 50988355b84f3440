// The checks of the contract in an author's words; docs/adding-a-mechanism.md explains what to do about each.
#include <utility>

#include "engine/errors.h"
#include "harness/contract.h"

namespace lra::harness {
namespace {

/// By the first word of a check's name.
constexpr std::pair<std::string_view, std::string_view> kMeanings[] = {
    {"finite_differences",
     "the gradient is not the slope of the output: an operation's vjp() is wrong (composed operations have right "
     "ones), "
     "or the mechanism jumps where its arguments move a little"},
    {"fused_equals_plain",
     "in f32, with the kernels of training, another function is computed than in f64 with the plain ones (n and the "
     "number of real tokens are in the name): compare the two branches of use_fused(), and look for sums that lose "
     "digits and for memory that a kernel reads before it has written it"},
    {"any_mask",
     "a mask with holes, or one that masks every token, gives wrong or non-finite numbers: mask with a large finite "
     "bias, not with an infinity, and divide by nothing that can be zero"},
    {"dropped_rows",
     "Facts::masked_rows_droppable promises that rows the mask hides can be left out, but then the others come out "
     "differently: take the place of a row from Context::positions wherever it matters, or state false"},
    {"padding",
     "real tokens notice the padding: use the mask, also in sums, means and maxima over positions; or state "
     "LengthSemantics::nominal or padded if the definition needs the full length"},
    {"repeatable", "two runs with one seed differ: draw random numbers from Context::seed only, and keep no state"},
    {"time_growth", "time grows faster with n than Facts::growth_exponent_time says"},
    {"arena_growth",
     "memory grows faster with n than Facts::growth_exponent_memory says: some value has two axes of length n"},
    {"future_is_unseen", "the causal form lets a token see later ones: state causal = false, or mask them"},
    {"declared_flops",
     "Facts::forward_flops does not count the matrix products that run: 2mnk for each product of the definition, over "
     "all heads"},
    {"refuses_causal", "Context::causal was asked for, the facts have no causal form, and nothing was refused"},
    {"refuses_unknown_parameter", "a parameter that Facts::parameters does not list was accepted"},
    {"threads_do_not_matter",
     "training depends on the number of threads: a kernel keeps or shares memory that is not its scratch"},
};

}  // namespace

std::string meaning_of(const Finding& finding) {
  if (finding.detail.starts_with(kThrew)) return "an exception ended the check before it measured anything: mend that";
  const std::string_view name = std::string_view(finding.check).substr(0, finding.check.find(' '));
  for (const auto& [known, meaning] : kMeanings)
    if (known == name) return std::string(meaning);
  LRA_CHECK(false, "the check " + finding.check + " has no meaning");
}

}  // namespace lra::harness

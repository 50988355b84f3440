// FNet: tokens mixed by the Fourier transform, nothing learned (Lee-Thorp et al. 2022).
#include "attention/registry.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/fourier.h"
#include "engine/ops/shape.h"

namespace lra::attention {
namespace {

using namespace engine;  // the vocabulary of operations

class FNet final : public Mixer {
 public:
  Facts facts() const override {
    return {
        .name = "fnet",
        .full_name = "FNet",
        .citation = "Lee-Thorp et al. 2022, FNet: Mixing Tokens with Fourier Transforms, eq. 3",
        .time_complexity = "O(n log n d_model)",
        .memory_complexity = "O(n d_model)",
        .length_semantics = LengthSemantics::padded,
        .parameters = {{.name = "mask_pads",
                        .default_value = true,
                        .unit = "",
                        .help = "pads are zero before they are mixed in; false: they are mixed in as they are, as "
                                "in the authors' code"}},
        .forward_flops = [](const ProblemSize& size,
                            const ParameterValues&) { return fourier_mix_flops(size.nominal_length, size.d_model); },
        .backward_flops = [](const ProblemSize& size,
                             const ParameterValues&) { return fourier_mix_flops(size.nominal_length, size.d_model); }};
  }

  Var mix(const Context& context, Var x, Var mask) const override {
    return fourier_mix(context.flag("mask_pads") ? multiply(x, reshape(mask, {mask.shape()[0], 1})) : x);
  }
};

const Registration kRegistration(std::make_unique<FNet>());

}  // namespace
}  // namespace lra::attention

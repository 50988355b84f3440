// Feature maps of the linear attentions, for the fused kernels.
#pragma once

#include <cstdint>
#include <memory>

#include "engine/ops/linear_attention.h"

namespace lra::engine {

/// f = elu(x) + 1: x + 1 where x > 0, e^x elsewhere; as wide as x. Source: Katharopoulos et al. 2020, equation 7.
std::shared_ptr<const FeatureMap> elu_plus_one_features();

/// f_i = [relu(x) sin θ_i, relu(x) cos θ_i] with θ_i = π i / (2M), i = 1, 2, …; twice as wide as x.
/// M = `nominal_length` bounds the sequence length. Source: Qin et al. 2022 (cosFormer), equation 10.
std::shared_ptr<const FeatureMap> cosine_features(int64_t nominal_length);

}  // namespace lra::engine

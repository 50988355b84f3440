// One example through the plans of a model, there and back: one sequence through the classifier, or two through the
// encoder each, and what comes out of it through the head.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/aligned.h"
#include "engine/plan.h"
#include "harness/examples.h"
#include "harness/model/model.h"

namespace lra::harness {

/// What the plans of a model take of one example. T: the dtype of the graphs.
template <class T>
struct ExampleInputs {
  struct Sequence {
    engine::AlignedVector<int32_t> tokens;
    engine::AlignedVector<int32_t> positions;  // where masked rows are dropped
    engine::AlignedVector<T> mask;
    engine::AlignedVector<T> pooled, pooled_gradient;  // of pairs
    int64_t rows = 0;
  };
  std::vector<Sequence> sequences;
  int32_t label = 0;
  T loss_weight = 0;

  /// Room for the longest example of `model`.
  explicit ExampleInputs(const Model& model) : sequences(static_cast<size_t>(model.task().inputs_per_example)) {
    for (Sequence& sequence : sequences) {
      sequence.tokens.resize(static_cast<size_t>(model.max_rows()));
      sequence.mask.resize(static_cast<size_t>(model.max_rows()));
      if (model.drops_masked_rows()) sequence.positions.resize(static_cast<size_t>(model.max_rows()));
      if (model.is_pair()) {
        sequence.pooled.resize(static_cast<size_t>(model.config().model.d_model));
        sequence.pooled_gradient.resize(sequence.pooled.size());
      }
    }
  }

  /// Takes an example's tokens and label, at the rows of `model` for their lengths. Where the model drops masked rows,
  /// `examples` leave masked tokens out.
  void load(const Model& model, const Examples& examples, int64_t example) {
    const int64_t cls = model.has_cls() ? 1 : 0;
    const bool zeros_masked = model.config().task.mask_zero_tokens;
    for (size_t input = 0; input < sequences.size(); ++input) {
      Sequence& sequence = sequences[input];
      const int64_t length = examples.length(example, static_cast<int>(input));
      sequence.rows = model.rows_for(length);
      const std::span<int32_t> tokens(sequence.tokens.data(), static_cast<size_t>(sequence.rows - cls));
      examples.copy_tokens(example, static_cast<int>(input), tokens);
      T* mask = sequence.mask.data();
      for (int64_t i = 0; i < sequence.rows - cls; ++i)
        mask[cls + i] = i < length && !(zeros_masked && tokens[static_cast<size_t>(i)] == 0) ? T{1} : T{0};
      if (cls == 1) mask[0] = mask[1];  // as the reference does: the CLS row is as real as the first token
      if (sequence.positions.empty()) continue;
      load_positions(examples, example, static_cast<int>(input), cls, length);
    }
    label = examples.label(example);
  }

  /// Bindings::inputs for the plan of a sequence (see port); the last ones may be none.
  using Ports = std::array<void*, 5>;
  Ports ports(size_t input) {
    Sequence& sequence = sequences[input];
    Ports made = {sequence.tokens.data(), sequence.mask.data()};
    auto next = made.begin() + 2;
    if (!sequence.positions.empty()) *next++ = sequence.positions.data();
    if (sequences.size() == 2) {
      *next++ = sequence.pooled_gradient.data();
    } else {
      *next++ = &label;
      *next++ = &loss_weight;
    }
    return made;
  }

  int64_t rows() const {
    int64_t sum = 0;
    for (const Sequence& sequence : sequences) sum += sequence.rows;
    return sum;
  }

 private:
  /// Of the CLS row, of the `length` real tokens, and of the padding: places that nobody has, in order.
  void load_positions(const Examples& examples, int64_t example, int input, int64_t cls, int64_t length) {
    Sequence& sequence = sequences[static_cast<size_t>(input)];
    const auto real = std::span(sequence.positions).subspan(static_cast<size_t>(cls), static_cast<size_t>(length));
    examples.copy_positions(example, input, real);
    if (cls == 1) sequence.positions[0] = 0;
    for (int32_t& position : real) position += static_cast<int32_t>(cls);
    auto taken = sequence.positions.cbegin();
    const auto end = taken + cls + length;
    int32_t free = 0;
    for (int64_t row = cls + length; row < sequence.rows; ++row, ++free) {
      for (; taken != end && *taken == free; ++taken) ++free;
      sequence.positions[static_cast<size_t>(row)] = free;
    }
  }
};

/// The plans that one example runs on: one of its own length for each sequence, and the head's for a pair.
struct ExamplePlans {
  std::array<const engine::Plan*, 2> sequences = {};
  const engine::Plan* head = nullptr;
};

/// The memory that they run in. In a pair that is carried back the two sequences are alive at once.
struct ExampleMemory {
  std::array<std::byte*, 2> sequences = {};
  std::byte* head = nullptr;
  std::byte* own = nullptr;  // null: behind the others (one thread only)
};

/// All members of a team run it, with the same arguments but for `own` and `member`. `common`: parameters, gradients,
/// keys and member; the keys' example is numbered anew in a pair, so that its sequences draw other masks.
template <class T>
class ExamplePass {
 public:
  ExamplePass(const ExamplePlans& plans, const ExampleMemory& memory, ExampleInputs<T>& inputs,
              const engine::Bindings& common)
      : plans_(plans), memory_(memory), inputs_(inputs), common_(common) {
    for (size_t i = 0; i < inputs.sequences.size(); ++i) ports_[i] = inputs.ports(i);
    if (is_pair())
      head_ports_ = {inputs.sequences[0].pooled.data(), inputs.sequences[1].pooled.data(), &inputs.label,
                     &inputs.loss_weight};
  }

  void forward() {
    for (size_t i = 0; i < inputs_.sequences.size(); ++i) {
      const engine::Plan& plan = *plans_.sequences[i];
      plan.run(bindings(i), 0, plan.backward_begin());
      if (is_pair()) copy_out(plan.output(port::kPooled, bindings(i)), inputs_.sequences[i].pooled);
    }
    if (is_pair()) plans_.head->run(head_bindings(), 0, plans_.head->backward_begin());
  }

  void backward() {
    if (is_pair()) {
      const engine::Plan& head = *plans_.head;
      head.run(head_bindings(), head.backward_begin(), head.steps());
      if (head.steps() == head.backward_begin()) return;
      copy_out(head.output(port::kFirstGradient, head_bindings()), inputs_.sequences[0].pooled_gradient);
      copy_out(head.output(port::kSecondGradient, head_bindings()), inputs_.sequences[1].pooled_gradient);
    }
    for (size_t i = 0; i < inputs_.sequences.size(); ++i) {
      const engine::Plan& plan = *plans_.sequences[i];
      plan.run(bindings(i), plan.backward_begin(), plan.steps());
    }
  }

  /// After forward(), as long as the memory is not used otherwise.
  double loss() const { return static_cast<double>(*last().output(port::kLoss, last_bindings()).template as<T>()); }
  std::span<const T> logits() const {
    const engine::View view = last().output(port::kLogits, last_bindings());
    return {view.as<T>(), static_cast<size_t>(view.shape().elements())};
  }
  int64_t guess() const {
    const std::span<const T> values = logits();
    return std::max_element(values.begin(), values.end()) - values.begin();
  }

 private:
  bool is_pair() const { return inputs_.sequences.size() == 2; }

  engine::Bindings bindings(size_t input) const {
    engine::Bindings bound = common_;
    bound.arena = memory_.sequences[input];
    bound.own = memory_.own;
    bound.inputs = ports_[input];
    if (is_pair()) bound.keys.example = 2 * common_.keys.example + static_cast<uint32_t>(input);
    return bound;
  }
  engine::Bindings head_bindings() const {
    engine::Bindings bound = common_;
    bound.arena = memory_.head;
    bound.own = memory_.own;
    bound.inputs = head_ports_;
    return bound;
  }
  const engine::Plan& last() const { return is_pair() ? *plans_.head : *plans_.sequences[0]; }
  engine::Bindings last_bindings() const { return is_pair() ? head_bindings() : bindings(0); }

  /// From memory that all members write to memory that all read.
  void copy_out(const engine::View& from, engine::AlignedVector<T>& to) const {
    common_.member.meet();
    if (common_.member.index == 0) std::copy_n(from.as<T>(), to.size(), to.begin());
    common_.member.meet();
  }

  const ExamplePlans& plans_;
  const ExampleMemory& memory_;
  ExampleInputs<T>& inputs_;
  const engine::Bindings& common_;
  std::array<typename ExampleInputs<T>::Ports, 2> ports_ = {};
  std::array<void*, 4> head_ports_ = {};
};

}  // namespace lra::harness

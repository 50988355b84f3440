// Every registered mechanism keeps the contract; and the contract catches those that do not.
#include "harness/contract.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "attention/registry.h"
#include "engine/op.h"
#include "engine/ops/elementwise.h"
#include "engine/ops/matmul.h"
#include "engine/ops/planes.h"
#include "engine/ops/reduce.h"
#include "engine/ops/shape.h"

namespace lra::attention {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr const char* kBroken = "broken_";  // mechanisms of this file

std::vector<std::string> real_names() {
  std::vector<std::string> real = names();
  std::erase_if(real, [](const std::string& name) { return name.starts_with(kBroken); });
  return real;
}

class ContractTest : public ::testing::TestWithParam<std::string> {};

TEST_P(ContractTest, Holds) {
  const std::vector<harness::Finding> findings = harness::check_contract(GetParam());
  EXPECT_FALSE(findings.empty());
  for (const harness::Finding& finding : findings)
    EXPECT_TRUE(finding.passed) << finding.check << ": " << finding.detail << "\nrepro: " << finding.repro;
}

TEST_P(ContractTest, HoldsForEveryVariant) {
  for (const ParameterValues& variant : harness::variants(find(GetParam()).facts()))
    for (const harness::Finding& finding : harness::check_contract(GetParam(), variant))
      EXPECT_TRUE(finding.passed) << variant.begin()->first << " = "
                                  << std::visit([](const auto& v) { return fmt::format("{}", v); },
                                                variant.begin()->second)
                                  << ": " << finding.check << ": " << finding.detail;
}

TEST_P(ContractTest, FactsAreComplete) {
  const Facts facts = find(GetParam()).facts();
  EXPECT_EQ(facts.name, GetParam());
  EXPECT_FALSE(facts.full_name.empty());
  EXPECT_THAT(facts.citation, ::testing::ContainsRegex("[12][0-9][0-9][0-9].*eq"));
  EXPECT_THAT(facts.time_complexity, HasSubstr("n"));
  EXPECT_THAT(facts.memory_complexity, HasSubstr("n"));
  for (const ParameterSpec& spec : facts.parameters) EXPECT_FALSE(spec.help.empty()) << spec.name;
  EXPECT_NO_THROW(resolve_parameters(facts, {}));
  // The declared growth of time is that of the declared FLOPs.
  ASSERT_TRUE(facts.forward_flops);
  const auto flops = [&](int64_t n) {
    return static_cast<double>(facts.forward_flops(
        {.n = n, .heads = 2, .d_head = 32, .d_model = 64, .nominal_length = n}, resolve_parameters(facts, {})));
  };
  EXPECT_NEAR(std::log2(flops(32768) / flops(16384)), facts.growth_exponent_time, 0.15);
}

INSTANTIATE_TEST_SUITE_P(Mechanisms, ContractTest, ::testing::ValuesIn(real_names()),
                         [](const auto& test) { return test.param; });

TEST(RegistryTest, HoldsOneMechanismForEveryFileThatRegistersOne) {
  size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(LRA_SOURCE_DIR) / "attention")) {
    std::ifstream file(entry.path());
    const std::string text(std::istreambuf_iterator<char>(file), {});
    if (entry.path().extension() == ".cc" && text.find("const Registration ") != std::string::npos) ++files;
  }
  EXPECT_EQ(real_names().size(), files);
}

using Attend = std::function<Var(const Context&, Var q, Var k, Var v, Var mask)>;

/// A mechanism made of a function, for the mistakes below.
class Broken final : public Attention {
 public:
  Broken(Facts facts, Attend attend) : facts_(std::move(facts)), attend_(std::move(attend)) {
    facts_.forward_flops = [](const ProblemSize& size, const attention::ParameterValues&) {
      return 4 * size.heads * size.n * size.n * size.d_head;
    };
  }
  Facts facts() const override { return facts_; }
  Var attend(const Context& context, Var q, Var k, Var v, Var mask) const override {
    return attend_(context, q, k, v, mask);
  }

 private:
  Facts facts_;
  Attend attend_;
};

Var column(Var mask) { return engine::reshape(mask, {mask.shape()[0], 1}); }

/// (q k^T) v with masked keys zeroed: a mechanism without a fault, from which the others depart.
Var sound(Var q, Var k, Var v, Var mask) {
  return engine::matmul(engine::matmul(q, engine::multiply(k, column(mask)), false, true), v);
}

Facts quadratic() { return {.growth_exponent_time = 2, .growth_exponent_memory = 2}; }

/// The names of the checks that fail for a mechanism of this behaviour.
std::vector<std::string> failures(const std::string& name, Attend attend, Facts facts = quadratic()) {
  facts.name = kBroken + name;
  const Registration registration(std::make_unique<Broken>(facts, std::move(attend)));
  std::vector<std::string> failed;
  for (const harness::Finding& finding : harness::check_contract(facts.name))
    if (!finding.passed) failed.push_back(finding.check + ": " + finding.detail);
  return failed;
}

TEST(ContractItselfTest, PassesOneWhoseQueriesAreItsKeys) {
  Facts facts = quadratic();
  facts.projections = Projections::shared_qk;
  const auto failed = failures(
      "shared",
      [](const Context&, Var q, Var k, Var v, Var mask) {
        EXPECT_EQ(q.id(), k.id());
        return sound(q, k, v, mask);
      },
      facts);
  EXPECT_THAT(failed, IsEmpty());
}

TEST(ContractItselfTest, PassesAMechanismWithoutFault) {
  Facts facts = quadratic();
  facts.masked_rows_droppable = true;
  const auto attend = [](const Context&, Var q, Var k, Var v, Var mask) { return sound(q, k, v, mask); };
  EXPECT_THAT(failures("sound", attend, facts), IsEmpty());
}

TEST(ContractItselfTest, CatchesNaNs) {
  const auto failed = failures("nan", [](const Context&, Var q, Var k, Var v, Var mask) {
    return engine::add(sound(q, k, v, mask), engine::sqrt(engine::affine(engine::square(v), -1, -1)));
  });
  EXPECT_THAT(failed, Contains(HasSubstr("finite_differences")));
  EXPECT_THAT(failed, Contains(HasSubstr("fused_equals_plain n=1 ")));
  EXPECT_THAT(failed, Contains(HasSubstr("any_mask all masked")));
}

TEST(ContractItselfTest, CatchesAMaskThatIsIgnored) {
  const auto failed = failures("mask", [](const Context&, Var q, Var k, Var v, Var) {
    return engine::matmul(engine::matmul(q, k, false, true), v);
  });
  EXPECT_THAT(failed, Contains(HasSubstr("padding f64")));
  EXPECT_THAT(failed, Contains(HasSubstr("padding f32")));
}

TEST(ContractItselfTest, CatchesAGradientThatLeaksToPads) {
  // The output at real rows is right; keys of pads multiply a zero but their values do not.
  const auto failed = failures("leak", [](const Context&, Var q, Var k, Var v, Var mask) {
    const Var clean = sound(q, k, v, mask);
    return engine::add(clean, engine::affine(engine::sum(v, 1, true), 1e-3, 0));
  });
  EXPECT_THAT(failed, Contains(HasSubstr("padding")));
}

TEST(ContractItselfTest, CatchesACausalFormThatSeesTheFuture) {
  Facts facts = quadratic();
  facts.causal = true;
  const auto failed = failures(
      "future", [](const Context&, Var q, Var k, Var v, Var mask) { return sound(q, k, v, mask); }, facts);
  EXPECT_THAT(failed, Contains(HasSubstr("future_is_unseen")));
}

TEST(ContractItselfTest, CatchesFusedKernelsThatDifferAndPlansThatReadPoison) {
  const auto failed = failures("fused", [](const Context& context, Var q, Var k, Var v, Var mask) {
    const Var o = sound(q, k, v, mask);
    return context.graph.use_fused() ? engine::affine(o, 1.001, 0) : o;
  });
  EXPECT_THAT(failed, Contains(HasSubstr("fused_equals_plain n=257 ")));
}

template <class T>
void copy_rows(const engine::View& x, const engine::View& y) {
  const engine::Planes<T> from(x), to(y);
  for (int64_t plane = 0; plane < to.planes; ++plane)
    for (int64_t row = 0; row < to.rows; ++row) std::copy_n(from.row(plane, row), to.columns, to.row(plane, row));
}

/// The identity, with twice the gradient it should have.
class WrongGradientOp final : public engine::Op {
 public:
  std::string_view name() const override { return "wrong_gradient"; }
  std::vector<engine::Type> infer(std::span<const engine::Type> inputs) const override { return {inputs[0]}; }
  std::unique_ptr<engine::Kernel> kernel(const engine::KernelRequest& request) const override {
    class Copy final : public engine::Kernel {
     public:
      explicit Copy(engine::Dtype dtype) : dtype_(dtype) {}
      void run(const engine::KernelArguments& arguments) const override {
        const engine::View &x = arguments.inputs[0], &y = arguments.outputs[0];
        if (dtype_ == engine::Dtype::f64) copy_rows<double>(x, y);
        if (dtype_ == engine::Dtype::f32) copy_rows<float>(x, y);
      }

     private:
      engine::Dtype dtype_;
    };
    return std::make_unique<Copy>(request.inputs[0].dtype);
  }
  std::vector<Var> vjp(const engine::VjpArguments& arguments) const override {
    return {engine::affine(arguments.output_gradients[0], 2, 0)};
  }
};

TEST(ContractItselfTest, CatchesAWrongGradient) {
  const auto failed = failures("gradient", [](const Context& context, Var q, Var k, Var v, Var mask) {
    return context.graph.apply1(std::make_shared<const WrongGradientOp>(), {sound(q, k, v, mask)});
  });
  EXPECT_THAT(failed, Contains(HasSubstr("finite_differences")));
  EXPECT_THAT(failed, Not(Contains(HasSubstr("fused_equals_plain"))));
}

TEST(ContractItselfTest, CatchesTimeAndMemoryThatGrowFasterThanDeclared) {
  Facts facts = quadratic();
  facts.growth_exponent_time = facts.growth_exponent_memory = 1;
  const auto failed = failures(
      "growth", [](const Context&, Var q, Var k, Var v, Var mask) { return sound(q, k, v, mask); }, facts);
  EXPECT_THAT(failed, Contains(HasSubstr("time_growth")));
  EXPECT_THAT(failed, Contains(HasSubstr("arena_growth")));
}

TEST(ContractItselfTest, CatchesRowsThatCannotBeDroppedThoughTheFactsSaySo) {
  Facts facts = quadratic();
  facts.masked_rows_droppable = true;
  const auto placed = [](const Context& context, Var q, Var k, Var v, Var mask) {
    const int64_t n = mask.shape()[0];
    std::vector<double> ramp;
    for (int64_t i = 0; i < n; ++i) ramp.push_back(1.0 + 0.01 * static_cast<double>(i));
    return sound(q, engine::multiply(k, context.graph.constant("ramp", {n, 1}, std::move(ramp))), v, mask);
  };
  const auto failed = failures("placed", placed, facts);
  EXPECT_THAT(failed, Contains(HasSubstr("dropped_rows f64")));
  EXPECT_THAT(failed, Contains(HasSubstr("dropped_rows f32")));
}

TEST(ContractItselfTest, CatchesWrongFlopsAndAMissingRefusal) {
  const auto failed = failures("flops", [](const Context&, Var q, Var k, Var v, Var mask) {
    return engine::add(sound(q, k, v, mask), sound(k, q, v, mask));
  });
  EXPECT_THAT(failed, Contains(HasSubstr("declared_flops")));
}

}  // namespace
}  // namespace lra::attention

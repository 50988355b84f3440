#include "harness/mechanism_facts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "attention/registry.h"
#include "harness/plugins.h"
#include "harness/presets.h"
#include "reports/page.h"
#include "reports/units.h"

namespace lra::harness {
namespace {

using attention::Facts;
using attention::Mechanism;
using attention::ParameterSpec;
using nlohmann::ordered_json;

constexpr const char* kSizePreset = "small";
constexpr int64_t kLengths[] = {1024, 4096};

bool is_mixer(const Mechanism& mechanism) { return dynamic_cast<const attention::Mixer*>(&mechanism) != nullptr; }

std::string type_name(const ParameterSpec& spec) {
  constexpr const char* kNames[] = {"boolean", "integer", "number", "text"};
  return spec.choices.empty() ? kNames[spec.default_value.index()] : "choice";
}

std::string value_text(const ParameterSpec& spec) {
  return std::visit([](const auto& value) { return fmt::format("{}", value); }, spec.default_value);
}

/// "1e-12..1", "at least 1", "fused|plain"; empty where anything goes.
std::string range_text(const ParameterSpec& spec) {
  const char* divisor = spec.divides_n ? ", divides n" : "";
  if (!spec.choices.empty()) return fmt::format("{}", fmt::join(spec.choices, "|"));
  if (spec.minimum && spec.maximum) return fmt::format("{}..{}{}", *spec.minimum, *spec.maximum, divisor);
  if (spec.minimum) return fmt::format("at least {}{}", *spec.minimum, divisor);
  return spec.maximum ? fmt::format("at most {}{}", *spec.maximum, divisor) : spec.divides_n ? "divides n" : "";
}

ordered_json parameter_json(const ParameterSpec& spec) {
  return {{"name", spec.name},
          {"type", type_name(spec)},
          {"default", std::visit([](const auto& value) { return ordered_json(value); }, spec.default_value)},
          {"unit", spec.unit},
          {"minimum", spec.minimum ? ordered_json(*spec.minimum) : ordered_json()},
          {"maximum", spec.maximum ? ordered_json(*spec.maximum) : ordered_json()},
          {"divides_n", spec.divides_n},
          {"choices", spec.choices},
          {"help", spec.help}};
}

/// Declared FLOPs of all heads of one layer, forward, at one length of the named preset.
struct SizedFlops {
  int64_t n = 0, heads = 0, d_head = 0;
  int64_t bidirectional = 0;
  int64_t backward = 0;  // of the bidirectional form
  std::optional<int64_t> causal;
};

std::vector<SizedFlops> sized_flops(const Facts& facts) {
  std::vector<SizedFlops> all;
  if (!facts.forward_flops) return all;
  const attention::ParameterValues parameters = attention::resolve_parameters(facts, {});
  for (const int64_t n : kLengths) {
    const ModelConfig model =
        resolve_config({.task = default_task(), .attention = facts.name, .preset = kSizePreset, .sequence_length = n})
            .config.model;
    attention::ProblemSize size{
        .n = n, .heads = model.heads, .d_head = model.d_head, .d_model = model.d_model, .nominal_length = n};
    SizedFlops flops{.n = n,
                     .heads = model.heads,
                     .d_head = model.d_head,
                     .bidirectional = facts.forward_flops(size, parameters),
                     .backward = 0,
                     .causal = {}};
    flops.backward = facts.backward_flops ? facts.backward_flops(size, parameters) : 2 * flops.bidirectional;
    size.causal = true;
    if (facts.causal) flops.causal = facts.forward_flops(size, parameters);
    all.push_back(flops);
  }
  return all;
}

std::string length_text(attention::LengthSemantics semantics) {
  switch (semantics) {
    case attention::LengthSemantics::masked:
      return "masked: exact at a sequence's own length";
    case attention::LengthSemantics::nominal:
      return "nominal: exact at a sequence's own length, given the task's nominal length";
    case attention::LengthSemantics::padded:
      return "padded: runs at the task's nominal length";
  }
  return "?";
}

/// As JSON has it, and as people read it.
struct ProjectionNames {
  const char* key;
  const char* text;
};

ProjectionNames projection_names(attention::Projections projections) {
  switch (projections) {
    case attention::Projections::qkv:
      return {"qkv", "q, k, v"};
    case attention::Projections::shared_qk:
      return {"shared_qk", "q (which is k, too), v"};
  }
  return {"?", "?"};
}

std::string yes_no(bool value) { return value ? "yes" : "no"; }

/// "134 MFLOP, causal 67.1 MFLOP".
std::string flops_text(const SizedFlops& flops) {
  const auto scaled = [](int64_t count) { return reports::format_scaled(static_cast<double>(count)) + "FLOP"; };
  return scaled(flops.bidirectional) + (flops.causal ? ", causal " + scaled(*flops.causal) : "");
}

/// What text and Markdown say, parameters aside: label and value.
std::vector<std::pair<std::string, std::string>> rows_of(const Mechanism& mechanism) {
  const Facts facts = mechanism.facts();
  std::vector<std::pair<std::string, std::string>> rows = {
      {"Name", facts.name},
      {"Full name", facts.full_name},
      {"Source", facts.citation},
      {"Kind", is_mixer(mechanism) ? "mixer of the whole layer input" : "attention on projected heads"},
      {"Projections", is_mixer(mechanism) ? "its own" : projection_names(facts.projections).text},
      {"Time", fmt::format("{}; growth is tested against n^{}", facts.time_complexity, facts.growth_exponent_time)},
      {"Memory",
       fmt::format("{}; growth is tested against n^{}", facts.memory_complexity, facts.growth_exponent_memory)},
      {"Length", length_text(facts.length_semantics)},
      {"Padding mask", yes_no(facts.padding_mask)},
      {"Masked rows", facts.masked_rows_droppable ? "can be left out" : "stay in their places"},
      {"Causal", yes_no(facts.causal)},
      {"Cross", yes_no(facts.cross)},
      {"Deterministic", yes_no(facts.deterministic)},
      {"Dropout", facts.attention_dropout ? "of attention weights" : "not of attention weights"},
      {"Rounding", fmt::format("f32 within {} of f64, relative to the largest element", facts.single_precision_error)}};
  for (const SizedFlops& flops : sized_flops(facts))
    rows.emplace_back(fmt::format("At n = {}", reports::format_integer(flops.n)),
                      fmt::format("{} a layer forward ({} heads of {}, as in preset `{}`)", flops_text(flops),
                                  flops.heads, flops.d_head, kSizePreset));
  return rows;
}

/// A cell of a Markdown table: a bar would end it.
std::string cell(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '|') escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string code(const std::string& text) { return text.empty() ? "" : fmt::format("`{}`", cell(text)); }

}  // namespace

ordered_json facts_json(const Mechanism& mechanism) {
  const Facts facts = mechanism.facts();
  ordered_json parameters = ordered_json::array();
  for (const ParameterSpec& spec : facts.parameters) parameters.push_back(parameter_json(spec));
  ordered_json flops = ordered_json::array();
  for (const SizedFlops& sized : sized_flops(facts))
    flops.push_back({{"preset", kSizePreset},
                     {"n", sized.n},
                     {"heads", sized.heads},
                     {"d_head", sized.d_head},
                     {"bidirectional", sized.bidirectional},
                     {"backward", sized.backward},
                     {"causal", sized.causal ? ordered_json(*sized.causal) : ordered_json()}});
  const bool mixer = is_mixer(mechanism);
  const Plugin* plugin = plugin_with(facts.name);
  return {{"name", facts.name},
          {"full_name", facts.full_name},
          {"kind", mixer ? "mixer" : "attention"},
          {"citation", facts.citation},
          {"time_complexity", facts.time_complexity},
          {"memory_complexity", facts.memory_complexity},
          {"growth_exponent_time", facts.growth_exponent_time},
          {"growth_exponent_memory", facts.growth_exponent_memory},
          {"length_semantics", to_string(facts.length_semantics)},
          {"projections", mixer ? ordered_json() : ordered_json(projection_names(facts.projections).key)},
          {"padding_mask", facts.padding_mask},
          {"masked_rows_droppable", facts.masked_rows_droppable},
          {"causal", facts.causal},
          {"cross", facts.cross},
          {"deterministic", facts.deterministic},
          {"attention_dropout", facts.attention_dropout},
          {"single_precision_error", facts.single_precision_error},
          {"parameters", parameters},
          {"forward_flops", flops},
          {"plugin", plugin == nullptr ? ordered_json() : ordered_json(plugin->file)}};
}

std::string facts_text(const Mechanism& mechanism, int width) {
  reports::Page page(width);
  for (const auto& [label, value] : rows_of(mechanism)) page.row(label, value);
  for (const ParameterSpec& spec : mechanism.facts().parameters) {
    page.rule();
    page.row("Parameter", "attention." + spec.name);
    page.row("  type", type_name(spec));
    page.row("  default", value_text(spec));
    page.row("  range", range_text(spec));
    page.row("  unit", spec.unit);
    page.row("  meaning", spec.help);
  }
  return page.text();
}

std::string facts_markdown(const Mechanism& mechanism) {
  std::string text = "| fact | value |\n|---|---|\n";
  for (const auto& [label, value] : rows_of(mechanism)) text += fmt::format("| {} | {} |\n", label, cell(value));
  const std::vector<ParameterSpec> parameters = mechanism.facts().parameters;
  if (parameters.empty()) return text;
  text += "\n| parameter | type | default | range | unit | meaning |\n|---|---|---|---|---|---|\n";
  for (const ParameterSpec& spec : parameters)
    text += fmt::format("| {} | {} | {} | {} | {} | {} |\n", code("attention." + spec.name), type_name(spec),
                        code(value_text(spec)), code(range_text(spec)), cell(spec.unit), cell(spec.help));
  return text;
}

std::string mechanisms_markdown() {
  std::string text = "| name | mechanism | kind | time | memory | length | causal | source |\n";
  text += "|---|---|---|---|---|---|---|---|\n";
  for (const std::string& name : attention::names()) {
    const Mechanism& mechanism = attention::find(name);
    const Facts facts = mechanism.facts();
    text += fmt::format("| [{}]({}.md) | {} | {} | {} | {} | {} | {} | {} |\n", name, name, cell(facts.full_name),
                        is_mixer(mechanism) ? "mixer" : "attention", cell(facts.time_complexity),
                        cell(facts.memory_complexity), to_string(facts.length_semantics), yes_no(facts.causal),
                        cell(facts.citation));
  }
  return text;
}

}  // namespace lra::harness

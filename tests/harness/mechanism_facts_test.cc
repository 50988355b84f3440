// What the program says of a mechanism, and the pages that are made from it.
#include "harness/mechanism_facts.h"

#include <fstream>

#include "attention/registry.h"
#include "reports/page.h"
#include "tests/harness/program.h"

namespace lra::testing {
namespace {

using Json = nlohmann::ordered_json;
using attention::Facts;
using ::testing::HasSubstr;
using ::testing::Not;

/// A mixer that is not registered and differs from the defaults of Facts wherever it can.
class Unusual final : public attention::Mixer {
 public:
  Facts facts() const override {
    return {.name = "unusual",
            .full_name = "Unusual | mixer",
            .citation = "Nobody 2000, eq. 1",
            .time_complexity = "O(n^2)",
            .memory_complexity = "O(n^3)",
            .growth_exponent_time = 2,
            .growth_exponent_memory = 3,
            .length_semantics = attention::LengthSemantics::padded,
            .padding_mask = false,
            .masked_rows_droppable = true,
            .cross = true,
            .deterministic = false,
            .parameters = {{.name = "window",
                            .default_value = int64_t{64},
                            .unit = "tokens",
                            .minimum = 1.0,
                            .maximum = {},
                            .choices = {},
                            .help = "keys on each side",
                            .divides_n = true},
                           {.name = "activation",
                            .default_value = std::string("softmax"),
                            .unit = "",
                            .minimum = {},
                            .maximum = {},
                            .choices = {"softmax", "laplace"},
                            .help = "of the logits"}},
            .forward_flops = [](const attention::ProblemSize& size, const attention::ParameterValues& parameters) {
              return size.n * 1000 + size.heads * 100 + size.d_head + std::get<int64_t>(parameters.at("window"));
            }};
  }
  engine::Var mix(const attention::Context&, engine::Var x, engine::Var) const override { return x; }
};

TEST(MechanismFactsTest, JsonHasEveryFact) {
  const Json parameters = {{{"name", "window"},
                            {"type", "integer"},
                            {"default", 64},
                            {"unit", "tokens"},
                            {"minimum", 1.0},
                            {"maximum", nullptr},
                            {"divides_n", true},
                            {"choices", Json::array()},
                            {"help", "keys on each side"}},
                           {{"name", "activation"},
                            {"type", "choice"},
                            {"default", "softmax"},
                            {"unit", ""},
                            {"minimum", nullptr},
                            {"maximum", nullptr},
                            {"divides_n", false},
                            {"choices", {"softmax", "laplace"}},
                            {"help", "of the logits"}}};
  const auto flops = [](int64_t n) {
    return Json{{"preset", "small"},
                {"n", n},
                {"heads", 2},
                {"d_head", 32},
                {"bidirectional", n * 1000 + 296},
                {"backward", 2 * (n * 1000 + 296)},
                {"causal", nullptr}};
  };
  const Json expected = {{"name", "unusual"},
                         {"full_name", "Unusual | mixer"},
                         {"kind", "mixer"},
                         {"citation", "Nobody 2000, eq. 1"},
                         {"time_complexity", "O(n^2)"},
                         {"memory_complexity", "O(n^3)"},
                         {"growth_exponent_time", 2},
                         {"growth_exponent_memory", 3},
                         {"length_semantics", "padded"},
                         {"projections", nullptr},
                         {"padding_mask", false},
                         {"masked_rows_droppable", true},
                         {"causal", false},
                         {"cross", true},
                         {"deterministic", false},
                         {"attention_dropout", false},
                         {"single_precision_error", 2e-5},
                         {"parameters", parameters},
                         {"forward_flops", {flops(1024), flops(4096)}},
                         {"plugin", nullptr}};
  EXPECT_EQ(harness::facts_json(Unusual()), expected);
}

TEST(MechanismFactsTest, RegisteredMechanismsStateTheirFlops) {
  for (const std::string& name : attention::names()) {
    const Facts facts = attention::find(name).facts();
    const Json json = harness::facts_json(attention::find(name));
    ASSERT_EQ(json["forward_flops"].size(), 2U) << name;
    for (const Json& at : json["forward_flops"]) {
      const int64_t n = at["n"];
      attention::ProblemSize size{.n = n, .heads = 2, .d_head = 32, .d_model = 64, .nominal_length = n};
      EXPECT_EQ(at["bidirectional"], facts.forward_flops(size, attention::resolve_parameters(facts, {}))) << name;
      size.causal = true;
      const Json causal =
          facts.causal ? Json(facts.forward_flops(size, attention::resolve_parameters(facts, {}))) : Json();
      EXPECT_EQ(at["causal"], causal) << name;
    }
  }
}

TEST(MechanismFactsTest, TextAndMarkdownSayTheSame) {
  for (const std::string& text : {harness::facts_text(Unusual(), 200), harness::facts_markdown(Unusual())})
    for (const char* part : {"unusual", "Nobody 2000, eq. 1", "O(n^2); growth is tested against n^2",
                             "O(n^3); growth is tested against n^3", "padded", "mixer of the whole layer input",
                             "1.02 MFLOP", "4.10 MFLOP", "attention.window", "integer", "64", "at least 1", "tokens",
                             "keys on each side", "attention.activation", "choice"})
      EXPECT_THAT(text, HasSubstr(part)) << text;
  EXPECT_THAT(harness::facts_markdown(Unusual()), HasSubstr("| Unusual \\| mixer |"));
  EXPECT_THAT(harness::facts_markdown(Unusual()), HasSubstr("`softmax\\|laplace`"));
  std::istringstream lines(harness::facts_text(Unusual(), 40));
  for (std::string line; std::getline(lines, line);) EXPECT_LE(reports::columns_of(line), 40U) << line;
}

using ListAttentionTest = ProgramTest;

TEST_F(ListAttentionTest, ShowsOneMechanismAtLength) {
  for (const std::string name : {"softmax", "cosformer"}) {
    const attention::Mechanism& mechanism = attention::find(name);
    const Outcome json = run({"list", "attention", "--name", name, "--json"});
    EXPECT_EQ(Json::parse(json.out), harness::facts_json(mechanism));
    EXPECT_EQ(run({"list", "attention", "--name", name, "--markdown"}).out, harness::facts_markdown(mechanism));
    EXPECT_THAT(run({"list", "attention", "--name", name}).out, HasSubstr(mechanism.facts().full_name));
  }
}

TEST_F(ListAttentionTest, JsonOfAllIsThatOfEach) {
  const Json all = Json::parse(run({"list", "attention", "--json"}).out);
  Json each = Json::array();
  for (const std::string& name : attention::names()) each.push_back(harness::facts_json(attention::find(name)));
  EXPECT_EQ(all, each);
}

TEST_F(ListAttentionTest, RefusesWhatHasNoPage) {
  refuses({"list", "attention", "--name", "softmaks"}, 2, {"softmaks", "did you mean `softmax`"});
  refuses({"list", "tasks", "--name", "softmax"}, 2, {"tasks --name", "lra list tasks"});
  refuses({"list", "presets", "--markdown"}, 2, {"presets --markdown", "lra list presets"});
}

/// A copy of the documents, on which scripts/update_docs.sh works.
class UpdateDocsTest : public ProgramTest {
 protected:
  void SetUp() override {
    const fs::path source = LRA_SOURCE_DIR;
    fs::create_directories(path("docs"));
    fs::copy(source / "README.md", path("README.md"));
    fs::copy(source / "docs" / "mechanisms", page("").parent_path(), fs::copy_options::recursive);
  }
  fs::path page(const std::string& name) const { return path("docs") / "mechanisms" / name; }

  /// The exit code; what the script says goes to `said_`.
  int update(const std::string& arguments) {
    const std::string command = "LRA_DOCS_ROOT='" + path("").string() +
                                "' LRA_BINARY='" LRA_BINARY "' '" LRA_SOURCE_DIR "/scripts/update_docs.sh' " +
                                arguments + " > '" + text("said") + "' 2>&1";
    const int status = std::system(command.c_str());
    said_ = read_bytes(path("said"));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  void replace(const std::string& name, const std::string& part, const std::string& by) const {
    std::string content = read_bytes(page(name));
    ASSERT_THAT(content, HasSubstr(part));
    content.replace(content.find(part), part.size(), by);
    std::ofstream(page(name)) << content;
  }

  std::string said_;
};

TEST_F(UpdateDocsTest, FindsAStaleFactAndMendsIt) {
  const std::string before = read_bytes(page("softmax.md"));
  replace("softmax.md", "O(n^2 d_head)", "O(n)");
  EXPECT_EQ(update("--check"), 1);
  EXPECT_THAT(said_, HasSubstr("softmax.md is stale: run scripts/update_docs.sh"));
  EXPECT_EQ(update(""), 0) << said_;
  EXPECT_EQ(read_bytes(page("softmax.md")), before);
}

TEST_F(UpdateDocsTest, DemandsAPageAndMakesItsSkeleton) {
  fs::remove(page("linear.md"));
  EXPECT_EQ(update("--check"), 1);
  EXPECT_THAT(said_, HasSubstr("mechanism `linear` has no page; make one with: scripts/update_docs.sh --page linear"));
  EXPECT_EQ(update("--page linear"), 0) << said_;
  EXPECT_THAT(read_bytes(page("linear.md")), HasSubstr(harness::facts_markdown(attention::find("linear"))));
  EXPECT_EQ(update("--check"), 1);  // its sections are empty
  EXPECT_THAT(said_, HasSubstr("linear.md: section `## Definition` is missing or empty"));
  EXPECT_THAT(said_, HasSubstr("linear.md: section `## Sources` is missing or empty"));
  EXPECT_EQ(update("--page linear"), 1);  // never overwrites
  EXPECT_THAT(said_, HasSubstr("linear.md exists"));
}

TEST_F(UpdateDocsTest, RefusesPagesWithoutFactsSectionsOrMechanism) {
  replace("softmax.md", "<!-- lra list attention --name softmax --markdown -->", "");
  replace("linear.md", "## Masks", "## Padding");
  fs::copy(page("linear.md"), page("lineer.md"));
  EXPECT_EQ(update("--check"), 1);
  EXPECT_THAT(said_, HasSubstr("softmax.md: lacks its facts"));
  EXPECT_THAT(said_, HasSubstr("linear.md: section `## Masks` is missing or empty"));
  EXPECT_THAT(said_, HasSubstr("lineer.md: no mechanism `lineer` is registered"));
  EXPECT_THAT(said_, Not(HasSubstr("cosformer")));
  EXPECT_EQ(update("--page lineer2"), 2);
  EXPECT_THAT(said_, HasSubstr("unknown attention `lineer2`"));
}

}  // namespace
}  // namespace lra::testing

#include "tasks/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "engine/errors.h"
#include "tasks/dataset.h"
#include "tests/temporary_directory.h"

namespace lra::tasks {
namespace {

using ::testing::HasSubstr;
using testing::thrown_by;

/// The least a task can be; named like one that exists to provoke the registry.
class Impostor : public Task {
 public:
  explicit Impostor(std::string name, std::vector<std::string> aliases = {}) {
    facts_.name = std::move(name);
    facts_.aliases = std::move(aliases);
  }
  const TaskFacts& facts() const override { return facts_; }
  void import(const ImportOptions&, const std::filesystem::path&, const ProgressFn&) const override {}
  std::vector<ShortcutBaseline> shortcut_baselines(const Dataset&) const override { return {}; }

 private:
  TaskFacts facts_;
};

TEST(RegistryTest, FindsListOpsByName) {
  ASSERT_NE(find_task("listops"), nullptr);
  EXPECT_EQ(task_named("listops").facts().full_name, "ListOps");
  EXPECT_EQ(find_task("nothing"), nullptr);
}

TEST(RegistryTest, UnknownNameListsNearMatches) {
  const auto error = thrown_by<UsageError>([] { task_named("listop"); });
  EXPECT_THAT(error.what(), HasSubstr("`listop`"));
  EXPECT_THAT(error.hint(), HasSubstr("did you mean `listops`?"));
}

TEST(RegistryTest, EveryTaskStatesItsFacts) {
  std::set<std::string> names;
  for (const Task* task : all_tasks()) {
    const TaskFacts& facts = task->facts();
    EXPECT_TRUE(names.insert(facts.name).second) << facts.name;
    EXPECT_FALSE(facts.full_name.empty() || facts.citation.empty()) << facts.name;
    EXPECT_LE(facts.num_classes, 256) << facts.name << ": labels are one byte";
    EXPECT_GT(facts.nominal_length, 0) << facts.name;
    if (!facts.name.starts_with("custom_")) {  // of those the data decide
      EXPECT_GE(facts.num_classes, 2) << facts.name;
      EXPECT_GT(facts.vocab_size(), 0) << facts.name;
      EXPECT_GT(facts.default_examples.total(), 0) << facts.name;
    }
    EXPECT_TRUE(facts.inputs_per_example == 1 || facts.inputs_per_example == 2) << facts.name;
  }
}

TEST(RegistryTest, TaskWithoutGeneratorOrImagesSaysWhatToTypeInstead) {
  const Impostor task("text");
  EXPECT_THAT(thrown_by<UsageError>([&] { task.generate({}, "d", {}); }).hint(), HasSubstr("lra data import text"));
  EXPECT_THAT(thrown_by<UsageError>([&] { task.export_images({}, SplitName::kTest, "d", {}); }).what(),
              HasSubstr("no images"));
  EXPECT_THAT(thrown_by<UsageError>([&] { task.tsv_row({}, {}, 0); }).what(), HasSubstr("no text format"));
}

TEST(RegistryDeathTest, AliasFindsItsTaskAndTakesNoOthersName) {
  const auto register_two = [] {
    const TaskRegistration first(std::make_unique<Impostor>("toy", std::vector<std::string>{"other_toy"}));
    if (find_task("other_toy") != find_task("toy")) std::abort();
    if (std::ranges::count(all_tasks(), find_task("toy")) != 1) std::abort();
    const TaskRegistration second(std::make_unique<Impostor>("another", std::vector<std::string>{"listops"}));
  };
  EXPECT_DEATH(register_two(), "`listops` is registered twice");
}

TEST(RegistryDeathTest, DuplicateNameAbortsNamingBothFiles) {
  EXPECT_DEATH(TaskRegistration(std::make_unique<Impostor>("listops")),
               "`listops` is registered twice, in .*listops\\.cc and in .*registry_test\\.cc");
}

}  // namespace
}  // namespace lra::tasks

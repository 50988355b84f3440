// The examples at the end of every --help, typed as they stand there.
#include "engine/io/npy.h"
#include "harness/commands/command.h"
#include "harness/commands/option_table.h"
#include "tests/harness/program.h"

namespace lra::testing {
namespace {

/// Every line of the footers that is typed.
void collect_examples(const harness::CommandEntry& command, std::vector<std::string>& examples) {
  for (const harness::FooterBlock& block : harness::footer_blocks(command.footer))
    for (const std::string& line : block.lines)
      if (line.starts_with("lra ")) examples.push_back(line);
  for (const harness::CommandEntry& sub : command.commands) collect_examples(sub, examples);
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

/// What takes minutes on purpose is cut short; nothing else is changed but the placeholders.
std::string shortened(std::string example) {
  const auto add = [&](const std::string& flag, const std::string& value) {
    if (example.find(flag) == std::string::npos) example += " " + flag + value;
  };
  if (example.starts_with("lra train --task") && example.find("--dry-run") == std::string::npos) {
    example += " --dry-run";
  } else if (example.starts_with("lra bench ")) {
    add("--preset", " tiny");
    add("--min-steps", " 1");
    add("--min-time-s", " 0");
    add("--warmup-steps", " 1");
  }
  return example;
}

class ExamplesTest : public ProgramTest {};

TEST_F(ExamplesTest, RunAsTheyStand) {
  make_data();
  ASSERT_EQ(run(train()).exit_code, 0);
  const std::string trained = run_directory().string();
  const std::vector<int64_t> heads = {2, 8, 4};
  for (const char* name : {"q", "k", "v", "go"})
    io::write_npy<float>(path(std::string(name) + ".npy"), heads, std::vector<float>(64, 0.5F));
  const std::vector<int64_t> tokens = {2, 8}, examples_shape = {2};
  io::write_npy<int32_t>(path("tokens.npy"), tokens, std::vector<int32_t>(16, 3));
  io::write_npy<int32_t>(path("labels.npy"), examples_shape, std::vector<int32_t>{1, 2});
  fs::create_directories(path("home/.local/share/bash-completion/completions"));
  fs::create_directories(path("home/.config/fish/completions"));
  const std::string setting = "export HOME='" + text("home") + "' PATH='" +
                              fs::path(LRA_BINARY).parent_path().string() + "':\"$PATH\"; cd '" +
                              directory_.path().string() + "'; ";
  fs::create_directory(path("lra_release"));
  for (const auto& [split, file] : {std::pair{"train", "train"}, {"validation", "val"}, {"test", "test"}})
    ASSERT_EQ(run({"data", "export", "listops", "--data", "data", "--split", split, "--format", "tsv", "--output",
                   text(std::string("lra_release/basic_") + file + ".tsv")})
                  .exit_code,
              0);
  ASSERT_EQ(std::system((setting + "tar czf lra_release.gz lra_release").c_str()), 0);
  for (const char* folder : {"train/neg/0_1", "train/pos/0_9", "test/neg/0_2", "test/pos/0_8"}) {
    const fs::path review = path(std::string("aclImdb/") + folder + ".txt");
    fs::create_directories(review.parent_path());
    write_bytes(review, "seen it");
  }
  ASSERT_EQ(std::system((setting + "tar czf aclImdb_v1.tar.gz aclImdb").c_str()), 0);
  std::string reviews;
  for (int i = 0; i < 30; ++i) reviews += i % 2 == 0 ? "good\tsee it\n" : "bad\tdo not\n";
  write_bytes(path("reviews.tsv"), reviews);
  fs::create_directories(path("data/downloads"));  // so that `fetch` has nothing to ask the network for
  write_bytes(path("data/downloads/lra_release.gz"), "fetched before");
  const bool has_man = std::system("command -v man > /dev/null 2>&1") == 0;

  CLI::App app(harness::kDescription, "lra");
  int exit_code = 0;
  harness::add_commands(app, exit_code);
  std::vector<std::string> examples;
  collect_examples(harness::describe(app), examples);
  EXPECT_GE(examples.size(), 20U);
  for (const std::string& example : examples) {
    std::string typed = shortened(example);
    replace_all(typed, "RUN", trained);
    const bool makes = typed.starts_with("lra data generate") || typed.starts_with("lra data import");
    replace_all(typed, "DIR", makes ? "made" : "data");
    if (makes) fs::remove_all(path("made"));
    if (!has_man) replace_all(typed, "| man -l -", "> page");
    EXPECT_EQ(std::system((setting + typed + " > out 2> err < /dev/null").c_str()), 0)
        << typed << "\n"
        << read_bytes(path("err")) << read_bytes(path("out"));
  }
}

}  // namespace
}  // namespace lra::testing

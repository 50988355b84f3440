// `lra predict` through the binary: the numbers of `lra eval`, files of the documented form, and every refusal.
#include <cmath>
#include <numeric>
#include <set>
#include <sstream>

#include "engine/io/npy.h"
#include "engine/io/safetensors.h"
#include "tests/harness/program.h"

namespace lra::testing {
namespace {

constexpr int64_t kTest = 50, kLength = 100;  // of make_data() and train()

class PredictProgramTest : public ProgramTest {
 protected:
  void SetUp() override {
    make_data();
    const Outcome trained = run(train());
    ASSERT_EQ(trained.exit_code, 0) << trained.err;
    directory_of_run_ = run_directory().string();
    // The test split as [examples, n].
    const io::NpyArray tokens(path("data/listops/test.tokens.npy")), offsets(path("data/listops/test.offsets.npy")),
        labels(path("data/listops/test.labels.npy"));
    std::vector<uint8_t> padded(static_cast<size_t>(kTest * kLength), 0);
    for (size_t i = 0; i < static_cast<size_t>(kTest); ++i) {
      const uint64_t begin = offsets.as<uint64_t>()[i], end = offsets.as<uint64_t>()[i + 1];
      const auto row = tokens.as<uint8_t>().subspan(begin, std::min<uint64_t>(end - begin, kLength));
      std::copy(row.begin(), row.end(), padded.begin() + static_cast<int64_t>(i) * kLength);
    }
    io::write_npy<uint8_t>(path("x.npy"), std::vector<int64_t>{kTest, kLength}, padded);
    io::write_npy(path("y.npy"), labels.type(), labels.shape(), labels.bytes());
    before_ = contents_of(directory_.path());
  }

  /// A refused call leaves no file, whole or in part.
  void refuses_cleanly(const Arguments& arguments, int exit_code, const std::vector<std::string>& parts) {
    refuses(arguments, exit_code, parts);
    EXPECT_EQ(contents_of(directory_.path()), before_);
  }
  template <class T>
  std::string write(const std::string& name, const std::vector<int64_t>& shape, T last = T{1}) {
    std::vector<T> values(
        static_cast<size_t>(std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>())), T{1});
    if (!values.empty()) values.back() = last;
    io::write_npy<T>(path(name), shape, values);
    before_ = contents_of(directory_.path());
    return name;
  }
  Arguments predict_from(const std::string& input) const {
    return Arguments{"predict", directory_of_run_, "--input", input, "--output", "logits.npy"};
  }
  Arguments predict(const Arguments& more = {}) const { return predict_from("x.npy") + more; }

  std::string directory_of_run_;
  std::map<std::string, std::string> before_;
};

TEST_F(PredictProgramTest, HasTheAccuracyAndTheLossOfEval) {
  const nlohmann::json evaluated = run({"eval", directory_of_run_, "--data", text("data"), "--json"}).json();
  const Outcome outcome = run(predict({"--labels", "y.npy"}));
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  std::istringstream line(outcome.out);
  std::string word;
  double loss = 0, accuracy = 0;
  line >> word >> loss >> word >> accuracy;
  EXPECT_NEAR(loss, evaluated["loss"].get<double>(), 1e-5);
  EXPECT_NEAR(accuracy, 100 * evaluated["accuracy"].get<double>(), 0.005);
  EXPECT_THAT(outcome.out, ::testing::HasSubstr(std::to_string(evaluated["correct"].get<int>()) + " of 50"));
}

TEST_F(PredictProgramTest, WritesLogitsAndGradientsInTheDtypeAskedFor) {
  const Arguments gradients = {"--labels", "y.npy", "--gradients", "g.safetensors"};
  ASSERT_EQ(run(predict(gradients)).exit_code, 0);
  const io::NpyArray narrow(path("logits.npy"));
  EXPECT_EQ(narrow.shape(), (std::vector<int64_t>{kTest, 10}));
  const std::vector<float> logits(narrow.as<float>().begin(), narrow.as<float>().end());
  const io::SafetensorsFile single(path("g.safetensors"));
  const io::SafetensorsFile checkpoint(path(directory_of_run_) / "checkpoint" / "best.safetensors");
  ASSERT_EQ(single.tensors().size(), checkpoint.tensors().size());

  ASSERT_EQ(run({"predict", directory_of_run_, "--input", "x.npy", "--output", "wide.npy", "--labels", "y.npy",
                 "--gradients", "wide.safetensors", "--dtype", "f64", "--threads", "1"})
                .exit_code,
            0);
  const io::NpyArray wide(path("wide.npy"));
  for (size_t i = 0; i < logits.size(); ++i) EXPECT_NEAR(logits[i], wide.as<double>()[i], 1e-4);
  const io::SafetensorsFile twice(path("wide.safetensors"));
  for (const io::SafetensorsTensor& tensor : checkpoint.tensors()) {
    EXPECT_EQ(single.at(tensor.name).shape, tensor.shape) << tensor.name;
    const std::vector<float> a = single.values<float>(tensor.name);
    const std::vector<double> b = twice.values<double>(tensor.name);
    for (size_t i = 0; i < b.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-4) << tensor.name;
  }
}

/// Classes and vocabulary are those of the data, which a prediction does not read.
class PredictOwnDataTest : public ProgramTest {
 protected:
  void predicts(const std::string& encoding, int64_t largest_id) {
    std::string reviews;
    for (int i = 0; i < 40; ++i) reviews += i % 2 == 0 ? "good\taab\n" : i % 4 == 1 ? "bad\tabb\n" : "odd\tbbb\n";
    write_bytes(path("reviews.tsv"), reviews);
    const Outcome made = run({"data", "import", "custom_text", "--from", "reviews.tsv", "--data", text("own"), "--set",
                              "task.encoding=" + encoding, "--set", "task.min_count=1"});
    ASSERT_EQ(made.exit_code, 0) << made.err;
    const Arguments train = {"train", "--task",     "custom_text", "--attention",   "softmax",   "--preset", "tiny",
                             "--out", text("runs"), "--set",       "train.steps=2", "--threads", "1",        "--data"};
    refuses(train + Arguments{text("none")}, 3,
            {"no prepared dataset of `custom_text`", "lra data import custom_text"});
    const Outcome trained = run(train + Arguments{text("own"), "--json"});
    ASSERT_EQ(trained.exit_code, 0) << trained.err;
    EXPECT_EQ(trained.json()["sequence_length"], 3) << "the longest text of the data";
    const auto last = static_cast<int32_t>(largest_id);
    io::write_npy<int32_t>(path("x.npy"), std::vector<int64_t>{2, 3}, std::vector<int32_t>{1, last, 0, last, 1, 1});
    const Arguments predict = {"predict", run_directory().string(), "--input", "x.npy", "--output", "logits.npy"};
    const Outcome outcome = run(predict);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_EQ(io::NpyArray(path("logits.npy")).shape(), (std::vector<int64_t>{2, 3}));
    io::write_npy<int32_t>(path("x.npy"), std::vector<int64_t>{1, 1}, std::vector<int32_t>{last + 1});
    refuses(predict, 3, {std::to_string(last + 1), "0.." + std::to_string(last)});
  }
};

TEST_F(PredictOwnDataTest, Bytes) { predicts("bytes", 256); }

TEST_F(PredictOwnDataTest, Characters) { predicts("characters", 3); }  // <pad>, <unk>, a, b

TEST_F(PredictProgramTest, TakesOtherWeightsAndPassesOverOtherTensors) {
  const std::string checkpoint = directory_of_run_ + "/checkpoint/";
  ASSERT_EQ(run(predict()).exit_code, 0);
  const std::string expected = read_bytes(path("logits.npy"));
  ASSERT_EQ(run(predict({"--weights", checkpoint + "best.safetensors", "--kernels", "fused"})).exit_code, 0);
  EXPECT_EQ(read_bytes(path("logits.npy")), expected);

  std::vector<io::SafetensorsTensor> tensors;
  std::vector<std::vector<double>> values;
  const io::SafetensorsFile last(checkpoint + "best.safetensors");
  for (const io::SafetensorsTensor& tensor : last.tensors()) {
    const std::vector<float> narrow = last.values<float>(tensor.name);
    values.emplace_back(narrow.begin(), narrow.end());
  }
  for (size_t i = 0; i < values.size(); ++i)
    tensors.push_back(io::make_tensor<double>(last.tensors()[i].name, last.tensors()[i].shape, values[i]));
  tensors.push_back(io::make_tensor<double>("opt/m/unknown", {1}, values[0]));
  tensors.back().data = tensors.back().data.first(sizeof(double));
  io::write_safetensors(path("doubles.safetensors"), tensors);
  ASSERT_EQ(run(predict({"--weights", "doubles.safetensors"})).exit_code, 0);
  EXPECT_EQ(read_bytes(path("logits.npy")), expected);

  tensors[0].shape = {tensors[0].shape.empty() ? 1 : tensors[0].shape[0], 1};
  tensors[0].data = tensors[0].data.first(static_cast<size_t>(tensors[0].shape[0]) * sizeof(double));
  io::write_safetensors(path("doubles.safetensors"), tensors);
  refuses(predict({"--weights", "doubles.safetensors"}), 4, {"doubles.safetensors", tensors[0].name, ", 1)"});
  tensors.erase(tensors.begin());
  io::write_safetensors(path("doubles.safetensors"), tensors);
  refuses(predict({"--weights", "doubles.safetensors"}), 3, {"doubles.safetensors", "no tensor"});
}

TEST_F(PredictProgramTest, RefusesInputsThatDoNotFit) {
  refuses_cleanly(predict_from(write<float>("f.npy", {2, 5})), 2, {"f.npy", "float32", "integers"});
  refuses_cleanly(predict_from(write<int32_t>("r.npy", {5})), 2, {"r.npy", "(5,)", "[examples, n]"});
  refuses_cleanly(predict_from(write<int32_t>("r.npy", {1, 1, 5})), 2, {"r.npy", "(1, 1, 5)"});
  refuses_cleanly(predict_from(write<int32_t>("e.npy", {0, 5})), 2, {"no tokens"});
  refuses_cleanly(predict_from(write<int32_t>("e.npy", {5, 0})), 2, {"no tokens"});
  refuses_cleanly(predict_from(write<int32_t>("l.npy", {1, kLength + 1})), 2, {"n = 101", "nominal length 100"});
  refuses_cleanly(predict_from(write<int64_t>("i.npy", {2, 5}, 17)), 3,
                  {"example 1", "token 17", "position 4", "0..16"});
  refuses_cleanly(predict_from(write<int64_t>("i.npy", {2, 5}, -1)), 3, {"token -1"});
  refuses_cleanly(predict_from(write<uint64_t>("i.npy", {2, 5}, UINT64_MAX)), 3, {"example 1", "0..16"});
  refuses_cleanly(predict_from("absent.npy"), 3, {"absent.npy"});
}

TEST_F(PredictProgramTest, RefusesLabelsThatDoNotFit) {
  refuses_cleanly(predict({"--gradients", "g.safetensors"}), 2, {"g.safetensors", "--labels"});
  refuses_cleanly(predict({"--labels", write<int32_t>("l.npy", {49})}), 2, {"49 labels for 50 examples"});
  refuses_cleanly(predict({"--labels", write<int32_t>("l.npy", {0})}), 2, {"l.npy", "empty"});
  refuses_cleanly(predict({"--labels", write<int32_t>("l.npy", {50, 1})}), 2, {"l.npy", "(50, 1)"});
  refuses_cleanly(predict({"--labels", write<double>("l.npy", {50})}), 2, {"l.npy", "float64"});
  refuses_cleanly(predict({"--labels", write<int32_t>("l.npy", {50}, 10)}), 3, {"example 49", "label 10", "0..9"});
  refuses_cleanly(predict({"--labels", write<int32_t>("l.npy", {50}, -1)}), 3, {"label -1"});
}

TEST_F(PredictProgramTest, RefusesRunsFlagsAndPlacesThatDoNotFit) {
  const Arguments files = {"--input", "x.npy", "--output", "logits.npy"};
  refuses_cleanly(Arguments{"predict", "nowhere"} + files, 3, {"nowhere does not exist", "lra train"});
  refuses_cleanly(Arguments{"predict", "data"} + files, 3, {"data holds no config.json"});
  refuses_cleanly(predict({"--dtype", "f16"}), 2, {"f16", "f32, f64"});
  refuses_cleanly(predict({"--kernels", "fusd"}), 2, {"did you mean `fused`"});
  refuses_cleanly(predict({"--dtype", "f64", "--kernels", "fused"}), 2, {"fused has no f64 form"});
  refuses_cleanly(predict({"--labels", "y.npy", "--gradients", "logits.npy"}), 2, {"both logits.npy"});
  refuses_cleanly(predict({"--memory-limit", "10K"}), 5, {"the prediction needs", "10.0 KiB", "--threads"});
  refuses_cleanly(predict({"--weights", "x.npy"}), 3, {"x.npy", "safetensors"});
  refuses_cleanly(predict({"--labels", "y.npy", "--gradients", "nowhere/g.safetensors"}), 5, {"nowhere/g"});
  refuses_cleanly({"predict", directory_of_run_, "--input", "x.npy", "--output", "nowhere/o.npy"}, 5, {"nowhere/o"});
  fs::remove_all(fs::path(directory_of_run_) / "checkpoint");
  refuses(predict(), 3, {"best.safetensors does not exist", "--resume"});
}

}  // namespace
}  // namespace lra::testing

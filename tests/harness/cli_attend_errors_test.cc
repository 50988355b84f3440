// `lra attend` with arrays of the wrong shape, type, rank or values: refused, and no output appears.
#include "engine/io/npy.h"
#include "tests/harness/program.h"

namespace lra::testing {
namespace {

class AttendErrorsTest : public ProgramTest {
 protected:
  void SetUp() override {
    write<float>("q", {2, 5, 4});
    write<float>("transposed", {2, 4, 5});
  }
  void TearDown() override {
    EXPECT_FALSE(fs::exists(path("o.npy"))) << "output of a refused call";
    EXPECT_FALSE(fs::exists(path("g.npy"))) << "output of a refused call";
  }

  template <class T>
  std::string write(const std::string& name, const std::vector<int64_t>& shape, T last = T{1}) const {
    int64_t elements = 1;
    for (const int64_t dimension : shape) elements *= dimension;
    std::vector<T> values(static_cast<size_t>(elements), T{1});
    if (!values.empty()) values.back() = last;
    io::write_npy<T>(path(name + ".npy"), shape, values);
    return name + ".npy";
  }
  Arguments attend(const std::string& q, const std::string& k, const std::string& v, const Arguments& more = {}) const {
    return Arguments{"attend", "--attention", "cosformer", "--q", q, "--k", k, "--v", v, "--out", "o.npy"} + more;
  }
  Arguments attend(const Arguments& more) const { return attend("q.npy", "q.npy", "q.npy", more); }
};

TEST_F(AttendErrorsTest, WrongShapesAndRanks) {
  refuses(attend("q.npy", "q.npy", "transposed.npy"), 2, {"[2, 5, 4]", "[2, 4, 5]"});
  for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{{}, {5}, {5, 4}, {1, 2, 5, 4}}) {
    const std::string odd = write<float>("odd", shape);
    refuses(attend(odd, odd, odd), 2, {"[h, n, d_head]"});
  }
  const std::string empty = write<float>("empty", {2, 0, 4}), deep = write<float>("deep", {1, 1, 2, 5, 4});
  refuses(attend(empty, empty, empty), 2, {"[2, 0, 4]"});
  refuses(attend(deep, deep, deep), 2, {"5 axes"});
}

TEST_F(AttendErrorsTest, WrongTypes) {
  const std::string integers = write<int64_t>("integers", {2, 5, 4});
  refuses(attend(integers, integers, integers), 2, {"integers.npy", "int64", "float32"});
  refuses(attend({"--grad-out", integers, "--grad-q", "g.npy"}), 2, {"integers.npy", "int64"});
  refuses(attend({"--dtype", "f16"}), 2, {"f16", "f32, f64"});
  refuses(attend({"--kernels", "fusd"}), 2, {"did you mean `fused`"});
}

TEST_F(AttendErrorsTest, WrongMasks) {
  refuses(attend({"--mask", write<uint8_t>("m", {4})}), 2, {"4 elements", "n = 5"});
  refuses(attend({"--mask", write<uint8_t>("m", {1, 5})}), 2, {"m.npy", "[1, 5]"});
  refuses(attend({"--mask", write<uint8_t>("m", {0})}), 2, {"m.npy", "[0]"});
  refuses(attend({"--mask", write<uint8_t>("m", {5}, 2)}), 2, {"mask holds 2"});
  refuses(attend({"--mask", write<int32_t>("m", {5}, -1)}), 2, {"mask holds -1"});
  refuses(attend({"--mask", write<float>("m", {5}, 0.5F)}), 2, {"mask holds 0.5"});
  refuses(attend({"--mask", write<double>("m", {5}, std::nan(""))}), 2, {"mask holds nan"});
}

TEST_F(AttendErrorsTest, WrongGradients) {
  refuses(attend({"--grad-out", "transposed.npy", "--grad-q", "g.npy"}), 2, {"transposed.npy", "[2, 4, 5]"});
  refuses(attend({"--grad-q", "g.npy"}), 2, {"g.npy", "--grad-out"});
  refuses(attend({"--grad-out", "q.npy", "--grad-x", "g.npy"}), 2, {"g.npy", "--grad-x"});
}

TEST_F(AttendErrorsTest, WrongArguments) {
  const std::string x = write<float>("x", {5, 8});
  refuses({"attend", "--attention", "cosformer", "--x", x, "--out", "o.npy"}, 2, {"takes q, k and v"});
  refuses(attend({"--x", x}), 2, {"takes q, k and v"});
  refuses({"attend", "--attention", "cosformer", "--q", "q.npy", "--out", "o.npy"}, 2, {"--q, --k and --v"});
  refuses(attend({"--set", "model.heads=2"}), 2, {"model.heads", "attention.*"});
  refuses(attend({"--set", "attention.epsilon=nan"}), 2, {"attention.epsilon", "nan"});
  refuses(attend({"--set", "attention.epsilon=-1"}), 2, {"attention.epsilon", "-1"});
  refuses(attend({"--set", "attention.epsilom=1"}), 2, {"attention.epsilom", "epsilon"});
  refuses(attend({"--nominal-length", "3"}), 2, {"nominal length 3", "n = 5"});
  refuses(attend({"--seed", "-1"}), 2, {"--seed", "-1"});
}

TEST_F(AttendErrorsTest, DamagedFiles) {
  const std::string whole = read_bytes(path("q.npy"));
  for (const size_t bytes : {size_t{0}, size_t{5}, size_t{40}, whole.size() - 1}) {
    write_bytes(path("cut.npy"), whole.substr(0, bytes));
    refuses(attend("cut.npy", "q.npy", "q.npy"), 3, {"cut.npy"});
  }
  refuses(attend("absent.npy", "q.npy", "q.npy"), 3, {"absent.npy"});
  refuses(attend({"--parameters", "q.npy"}), 3, {"q.npy", "safetensors"});
}

TEST_F(AttendErrorsTest, PlacesThatCannotBeWrittenAreFoundBeforeTheFirstOutput) {
  refuses(attend({"--grad-out", "q.npy", "--grad-v", "q.npy/g.npy"}), 5, {"q.npy/g.npy"});
  refuses(attend({"--parameters-out", "nowhere/p.safetensors"}), 5, {"nowhere/p.safetensors"});
  fs::create_directories(path("directory"));
  refuses(attend({"--grad-out", "q.npy", "--grad-k", "directory"}), 2, {"directory"});
}

}  // namespace
}  // namespace lra::testing

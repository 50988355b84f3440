#include "harness/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <numeric>
#include <tuple>

#include "engine/aligned.h"
#include "harness/model/example_pass.h"
#include "reports/statistics.h"

namespace lra::harness {
namespace {

using Clock = engine::CallObserver::Clock;

double nanoseconds(Clock::duration duration) { return std::chrono::duration<double, std::nano>(duration).count(); }

/// Collects the calls of one run at a time.
class Recorder final : public engine::CallObserver {
 public:
  explicit Recorder(size_t steps) : step_ns_(steps), calls_(steps) {}
  void called(size_t step, int64_t row_begin, Clock::time_point start, Clock::time_point stop) override {
    events_.push_back({step, row_begin, start, stop});
  }
  void clear() { events_.clear(); }
  const std::vector<KernelCall>& events() const { return events_; }

  /// Sums of the last run, by step.
  const std::vector<double>& step_ns() {
    std::fill(step_ns_.begin(), step_ns_.end(), 0.0);
    for (const KernelCall& call : events_) step_ns_[call.step] += nanoseconds(call.stop - call.start);
    return step_ns_;
  }
  const std::vector<int64_t>& calls() {
    std::fill(calls_.begin(), calls_.end(), 0);
    for (const KernelCall& call : events_) ++calls_[call.step];
    return calls_;
  }

 private:
  std::vector<KernelCall> events_;  // keeps its capacity from run to run
  std::vector<double> step_ns_;
  std::vector<int64_t> calls_;
};

struct Run {
  double whole_ns = 0;
  std::vector<double> step_ns;
  double between_ns() const { return whole_ns - std::accumulate(step_ns.begin(), step_ns.end(), 0.0); }
};

/// Robust against runs that were interrupted. The mean of a sum is at least the sum of such means.
template <class Measure>
double mean_of_faster_half(const std::vector<Run>& runs, const Measure& measure) {
  std::vector<double> samples;
  for (const Run& run : runs) samples.push_back(measure(run));
  const size_t half = (samples.size() + 1) / 2;
  std::nth_element(samples.begin(), samples.begin() + static_cast<std::ptrdiff_t>(half) - 1, samples.end());
  return reports::mean(std::span(samples).first(half));
}

/// One worker's memory and measurements.
class ProfiledWorker {
 public:
  ProfiledWorker(Model& model, const engine::Plan& plan, const Examples& examples, int64_t example)
      : plan_(plan),
        arena_(plan.arena_bytes()),
        gradients_(static_cast<size_t>(model.parameters().flat_elements())),
        inputs_(model),
        keys_{.seed = model.config().seed, .example = static_cast<uint32_t>(example)},
        recorder_(plan.steps()) {
    inputs_.load(model, examples, example);
    inputs_.loss_weight = 1;
    std::fill(inputs_.sequences[0].pooled_gradient.begin(), inputs_.sequences[0].pooled_gradient.end(), 1.0F);
  }

  double run(std::span<const float> weights) {
    auto ports = inputs_.ports(0);
    recorder_.clear();
    const Clock::time_point start = Clock::now();
    plan_.run_profiled({.arena = arena_.data(),
                        .parameters = const_cast<float*>(weights.data()),  // read only
                        .gradients = gradients_.data(),
                        .inputs = ports,
                        .keys = keys_},
                       0, plan_.steps(), recorder_);
    return nanoseconds(Clock::now() - start);
  }
  void keep(double whole_ns) { runs_.push_back({whole_ns, recorder_.step_ns()}); }

  std::vector<Run>& runs() { return runs_; }
  Recorder& recorder() { return recorder_; }

 private:
  const engine::Plan& plan_;
  engine::Arena arena_;
  engine::AlignedVector<float> gradients_;
  ExampleInputs<float> inputs_;
  engine::ExampleKeys keys_;
  Recorder recorder_;
  std::vector<Run> runs_;
};

bool is_same_window(const engine::Place& a, const engine::Place& b) {
  return a.base == b.base && a.index == b.index && a.byte_offset == b.byte_offset &&
         a.layout.offset == b.layout.offset && a.layout.shape == b.layout.shape && a.layout.strides == b.layout.strides;
}

/// Elements at different addresses: an axis of stride 0 repeats its first.
int64_t distinct_elements(const engine::Layout& layout) {
  int64_t elements = 1;
  for (int axis = 0; axis < layout.shape.rank(); ++axis)
    if (layout.strides[static_cast<size_t>(axis)] != 0) elements *= layout.shape[axis];
  return elements;
}

}  // namespace

double PlanProfile::kernels_ns() const { return std::accumulate(step_ns.begin(), step_ns.end(), 0.0); }

PlanProfile profile_plan(Model& model, Mode mode, std::span<const float> weights, const Examples& examples,
                         engine::Workers& workers, const ProfileOptions& options) {
  const int64_t rows = model.rows_for(examples.length(0, 0));
  const engine::Plan& plan = model.plan(rows, mode);
  engine::AlignedVector<float> aligned(weights.begin(), weights.end());
  std::vector<std::unique_ptr<ProfiledWorker>> worker(static_cast<size_t>(workers.count()));
  std::atomic<int> finished{0};
  workers.run([&](int index) {
    const int64_t example = index % examples.size();
    worker[static_cast<size_t>(index)] = std::make_unique<ProfiledWorker>(model, plan, examples, example);
  });
  workers.run([&](int index) {
    ProfiledWorker& mine = *worker[static_cast<size_t>(index)];
    mine.run(aligned);  // touches the pages, makes this thread's handles
    const Clock::time_point start = Clock::now();
    const auto enough = [&] {
      return static_cast<int64_t>(mine.runs().size()) >= options.min_runs &&
             nanoseconds(Clock::now() - start) >= options.min_time_s * 1e9;
    };
    while (!enough()) mine.keep(mine.run(aligned));
    // Whoever is done goes on until all are: nobody is measured on a machine that grows idle.
    for (++finished; finished < workers.count();) mine.run(aligned);
  });

  PlanProfile profile{.step_ns = std::vector<double>(plan.steps()),
                      .calls = worker[0]->recorder().calls(),
                      .runs = static_cast<int64_t>(worker[0]->runs().size())};
  const double weight = 1.0 / static_cast<double>(worker.size());
  for (const std::unique_ptr<ProfiledWorker>& one : worker) {
    const std::vector<Run>& runs = one->runs();
    profile.runs = std::min(profile.runs, static_cast<int64_t>(runs.size()));
    profile.run_ns += weight * mean_of_faster_half(runs, [](const Run& run) { return run.whole_ns; });
    profile.between_ns += weight * mean_of_faster_half(runs, [](const Run& run) { return run.between_ns(); });
    for (size_t step = 0; step < plan.steps(); ++step)
      profile.step_ns[step] += weight * mean_of_faster_half(runs, [&](const Run& run) { return run.step_ns[step]; });
    profile.last_runs.push_back(one->recorder().events());
  }
  return profile;
}

Traffic traffic_of(const engine::Step& step) {
  Traffic traffic;
  const auto count = [&](const std::vector<engine::Place>& places) {
    for (size_t i = 0; i < places.size(); ++i) {
      const auto same = [&](const engine::Place& other) { return is_same_window(places[i], other); };
      if (std::any_of(places.begin(), places.begin() + static_cast<std::ptrdiff_t>(i), same)) continue;
      const int64_t bytes =
          distinct_elements(places[i].layout) * static_cast<int64_t>(engine::bytes_of(places[i].dtype));
      (places[i].block_local ? traffic.cached_bytes : traffic.memory_bytes) += bytes;
    }
  };
  count(step.inputs);
  count(step.outputs);
  return traffic;
}

std::string folded_scope(const std::string& scope) {
  std::string folded;
  for (size_t begin = 0; begin <= scope.size();) {
    const size_t end = std::min(scope.find('.', begin), scope.size());
    const std::string part = scope.substr(begin, end - begin);
    const bool number = !part.empty() && part.find_first_not_of("0123456789") == std::string::npos;
    if (!(folded.empty() && part == "encoder" && end < scope.size()))
      folded += (folded.empty() ? "" : ".") + (number ? "*" : part);
    begin = end + 1;
  }
  return folded;
}

int64_t optimizer_bytes(const Model& model) {
  constexpr int64_t kOtherPasses = 8;  // the sum written and read; weights and two moments read and written
  return model.parameters().flat_elements() * static_cast<int64_t>(sizeof(float)) *
         (model.config().train.lanes + kOtherPasses);
}

namespace {

/// Steps of a plan that share a row.
struct Group {
  double ns = 0, flops = 0;
  double roofline_ns = 0;  // what they would take at the peak or at full bandwidth, whichever is longer
  reports::ProfileRow row;
};

/// Rows for the kernels, in no particular order.
std::vector<Group> kernel_groups(const engine::Plan& plan, const PlanProfile& profile,
                                 const ProfileRowOptions& options) {
  std::map<std::tuple<std::string, std::string, std::string, size_t>, Group> groups;
  const bool single = options.by == ProfileBy::kNode;
  for (size_t i = 0; i < plan.steps(); ++i) {
    const engine::Step& step = plan.step(i);
    std::string operation = options.by == ProfileBy::kScope ? "" : step.name;
    if (single && !step.outputs.empty()) operation += " " + step.outputs[0].layout.shape.to_string();
    const std::string scope = single ? step.scope : folded_scope(step.scope);
    const std::string phase = i < plan.backward_begin() ? "forward" : "backward";
    Group& group = groups[{phase, scope, operation, single ? i : 0}];
    group.row.phase = phase;
    group.row.operation = operation;
    group.row.scope = scope;
    const Traffic traffic = traffic_of(step);
    const auto flops = static_cast<double>(step.product_flops);
    group.ns += profile.step_ns[i];
    group.flops += flops;
    group.roofline_ns += std::max(flops / options.yardstick.gflops,
                                  static_cast<double>(traffic.memory_bytes) / options.yardstick.gb_per_s);
    group.row.calls += profile.calls[i];
    group.row.bytes += traffic.memory_bytes;
    group.row.cached_bytes += traffic.cached_bytes;
  }
  std::vector<Group> list;
  for (auto& [key, group] : groups) list.push_back(std::move(group));
  return list;
}

}  // namespace

std::vector<reports::ProfileRow> profile_rows(const engine::Plan& plan, const PlanProfile& profile,
                                              const ProfileRowOptions& options) {
  const auto tokens = static_cast<double>(options.tokens);
  const bool known_machine = options.yardstick.gflops > 0 && options.yardstick.gb_per_s > 0;
  std::vector<reports::ProfileRow> rows;
  double sum_ns = 0;
  const auto add = [&](reports::ProfileRow row, double ns_per_token) {
    row.ns_per_token = ns_per_token;
    row.time_share = ns_per_token / options.costs.step_ns;
    sum_ns += ns_per_token;
    rows.push_back(std::move(row));
  };
  for (Group& group : kernel_groups(plan, profile, options)) {
    if (group.flops > 0) group.row.gflops = group.flops / group.ns;
    group.row.gb_per_s = static_cast<double>(group.row.bytes) / group.ns;
    if (known_machine) group.row.roofline_share = group.roofline_ns / group.ns;
    add(std::move(group.row), group.ns / tokens);
  }
  if (options.costs.optimizer_ns > 0)
    add({.phase = "optimizer",
         .operation = "sum lanes, clip, update",
         .calls = 1,
         .bytes = options.costs.optimizer_bytes},
        options.costs.optimizer_ns);
  std::stable_sort(rows.begin(), rows.end(), [](const reports::ProfileRow& a, const reports::ProfileRow& b) {
    return a.ns_per_token > b.ns_per_token;
  });
  const int64_t calls = std::accumulate(profile.calls.begin(), profile.calls.end(), int64_t{0});
  add({.phase = "outside", .operation = "between kernels", .calls = calls}, profile.between_ns / tokens);
  add({.phase = "outside", .operation = "interrupted or slower in steps"},
      options.costs.passes_ns - (profile.kernels_ns() + profile.between_ns) / tokens);
  add({.phase = "outside", .operation = "tokens and mask"}, options.costs.data_ns);
  add({.phase = "outside", .operation = "clearing lane sums, waiting"}, options.costs.step_ns - sum_ns);
  return rows;
}

}  // namespace lra::harness

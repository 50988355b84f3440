#include "harness/trace.h"

#include <fmt/format.h>

#include <algorithm>

namespace lra::harness {
namespace {

using Clock = engine::CallObserver::Clock;
using Json = nlohmann::ordered_json;

double microseconds(Clock::duration duration) { return std::chrono::duration<double, std::micro>(duration).count(); }

/// Where an event belongs: the viewers group by process and thread.
struct Track {
  int process = 0;
  size_t worker = 0;
  Clock::time_point origin;
};

Json name_event(const Track& track, const char* what, const std::string& name) {
  return {{"name", what}, {"ph", "M"}, {"pid", track.process}, {"tid", track.worker}, {"args", {{"name", name}}}};
}

Json span_event(const Track& track, const std::string& name, const std::string& category, Clock::time_point start,
                Clock::time_point stop) {
  return {{"name", name},
          {"cat", category},
          {"ph", "X"},
          {"ts", microseconds(start - track.origin)},
          {"dur", microseconds(stop - start)},
          {"pid", track.process},
          {"tid", track.worker}};
}

}  // namespace

void Trace::add(const std::string& title, const engine::Plan& plan, const PlanProfile& profile) {
  Track track{.process = processes_++, .origin = Clock::time_point::max()};
  for (const std::vector<KernelCall>& calls : profile.last_runs)
    if (!calls.empty()) track.origin = std::min(track.origin, calls.front().start);
  events_.push_back(name_event(track, "process_name", title));
  for (; track.worker < profile.last_runs.size(); ++track.worker) {
    const std::vector<KernelCall>& calls = profile.last_runs[track.worker];
    events_.push_back(name_event(track, "thread_name", fmt::format("worker {}", track.worker)));
    const auto backward = std::find_if(calls.begin(), calls.end(),
                                       [&](const KernelCall& call) { return call.step >= plan.backward_begin(); });
    const auto pass = [&](const char* name, auto begin, auto end) {
      if (begin == end) return;
      events_.push_back(span_event(track, name, "pass", begin->start, std::prev(end)->stop));
      for (auto call = begin; call != end; ++call) {
        const engine::Step& step = plan.step(call->step);
        Json event = span_event(track, step.name, name, call->start, call->stop);
        event["args"] = {{"scope", step.scope}, {"step", call->step}, {"row", call->row_begin}};
        events_.push_back(std::move(event));
      }
    };
    pass("forward", calls.begin(), backward);
    pass("backward", backward, calls.end());
  }
}

Json Trace::json() const { return {{"traceEvents", events_}, {"displayTimeUnit", "ns"}}; }

}  // namespace lra::harness

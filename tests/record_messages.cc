// Records what the parts of a live cluster say to one another, for recorded_messages.h:
//
//   bazel run //tests:record_messages -- $PWD/tests/testdata/messages
//
// Clients' requests go through the router's own parser to a simulated cluster (real router, engines, states), and of
// each kind of message and each request the first ones are written.
#include <cstdio>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/model/gguf.h"
#include "common/testing/tiny_model.h"
#include "google/protobuf/text_format.h"
#include "kedge/inference/v1/inference.pb.h"
#include "router/request_parser.h"
#include "tests/recorded_messages.h"
#include "tests/simulated_cluster.h"

namespace kedge {
namespace {

using inference::v1::GenerateRequest;

constexpr char kText[] =
    "An anchor holds a ship. A kedge is a light one. It is thrown ahead! Then the crew hauls on the rope, and the ship "
    "moves.\nWhat is a kedge? It is named after the catching of things; or so they say.\n";

std::vector<GenerateRequest> Requests() {
  std::vector<GenerateRequest> requests;
  const auto add = [&](const char* policy) -> GenerateRequest& {
    GenerateRequest& request = requests.emplace_back();
    request.set_request_id(absl::StrCat("r", requests.size()));
    request.mutable_cache_options()->set_policy(policy);
    request.mutable_sampling_params()->set_max_tokens(6);
    request.mutable_sampling_params()->set_seed(requests.size());
    return request;
  };
  add("full").set_text(kText);

  GenerateRequest& chat = add("salient");
  auto& messages = *chat.mutable_messages();
  messages.add_messages()->set_role("system");
  messages.mutable_messages(0)->set_content("Answer in one word.");
  messages.add_messages()->set_role("user");
  messages.mutable_messages(1)->set_content(absl::StrCat("What moves the ship?\n", kText));
  chat.mutable_cache_options()->add_pinned()->set_message(0);
  chat.mutable_sampling_params()->set_temperature(0);
  chat.mutable_output_options()->set_prompt_pieces(true);
  chat.mutable_output_options()->set_token_ids(true);

  GenerateRequest& several = add("salient,salient=0.1-0.3");
  several.set_text(kText);
  several.mutable_sampling_params()->set_n(2);
  several.mutable_sampling_params()->add_stop("an end");
  auto* const span = several.mutable_cache_options()->add_pinned()->mutable_text();
  span->set_begin(3);
  span->set_end(9);
  several.mutable_output_options()->set_logprobs(2);

  GenerateRequest& ids = add("anchors=46+33,longest=9,sinks=2,recent=5");
  for (uint32_t i = 0; i < 60; ++i) ids.mutable_token_ids()->add_ids(20 + i * 7 % 90);
  ids.mutable_sampling_params()->set_frequency_penalty(0.5);
  ids.mutable_sampling_params()->set_repetition_penalty(1.1f);
  (*ids.mutable_sampling_params()->mutable_logit_bias())[33] = 2;
  ids.mutable_sampling_params()->set_min_tokens(2);
  ids.mutable_sampling_params()->add_stop_token_ids(46);

  GenerateRequest& inserted = add("anchors=40,insert=40,view=all,keep=anchors");
  inserted.set_text("One. Two.");
  auto* const anchor = inserted.mutable_cache_options()->add_anchor_spans();
  anchor->set_begin(0);
  anchor->set_end(4);
  inserted.mutable_sampling_params()->set_top_k(5);
  inserted.mutable_sampling_params()->set_top_p(0.9f);
  inserted.mutable_sampling_params()->set_min_p(0.1f);
  return requests;
}

// Of each kind the first few of each request.
class Recorder {
 public:
  void NextRequest() { counts_.clear(); }
  void Add(const google::protobuf::Message& message, int most) {
    const google::protobuf::Descriptor& type = *message.GetDescriptor();
    google::protobuf::TextFormat::Printer printer;
    printer.SetUseShortRepeatedPrimitives(true);
    std::string text;
    KEDGE_CHECK(printer.PrintToString(message, &text));
    if (counts_[&type] >= most || !seen_.insert(text).second) return;
    ++counts_[&type];
    absl::StrAppend(&files_[RecordedFileName(type)], text, kEndOfMessage);
  }
  void Write(const std::string& folder) const {
    for (const auto& [name, text] : files_) {
      std::ofstream file(absl::StrCat(folder, "/", name), std::ios::binary);
      file << text;
      KEDGE_CHECK(file.good());
      std::printf("%s/%s: %zu bytes\n", folder.c_str(), name.c_str(), text.size());
    }
  }

 private:
  std::map<const google::protobuf::Descriptor*, int> counts_;
  std::set<std::string> seen_;
  std::map<std::string, std::string> files_;
};

int Main(const std::string& folder) {
  const std::string path = absl::StrCat(folder, "/tiny.gguf.tmp");
  KEDGE_CHECK(WriteTinyModel({}, path).ok());
  const auto model = LoadRouterModel(ModelFiles::Open(path, "").value(), "tiny", "", 16).value();
  std::remove(path.c_str());
  Recorder recorder;
  SimulatedClock clock;
  const RequestParser parser(model.get(), &clock);
  SimulationOptions options{.held_bytes = 1 << 20, .vocab_size = model->vocab_size};
  options.on_message = [&](const google::protobuf::Message& message) { recorder.Add(message, 3); };
  for (const GenerateRequest& request : Requests()) {
    recorder.NextRequest();
    recorder.Add(request, 1);
    SimulatedCluster cluster(options, model->tokenizer.get());
    SimulatedAnswer answer;
    const auto flow = cluster.Start(parser.Parse(request, "").value(), &answer);
    KEDGE_CHECK(cluster.RunUntilFinished({&answer}) && answer.status.ok());
  }
  recorder.Write(folder);
  return 0;
}

}  // namespace
}  // namespace kedge

int main(int argc, char** argv) {
  if (argc == 2) return kedge::Main(argv[1]);
  std::fprintf(stderr, "usage: record_messages FOLDER\n");
  return 2;
}

// A parser of requests to a tiny model, for tests.
#ifndef KEDGE_ROUTER_REQUEST_PARSER_TESTING_H_
#define KEDGE_ROUTER_REQUEST_PARSER_TESTING_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/model/model_files.h"
#include "common/testing/tiny_model.h"
#include "gtest/gtest.h"
#include "router/request_parser.h"

namespace kedge {

inline std::unique_ptr<const RouterModel> TinyModel(const TinyModelOptions& options = {},
                                                    const std::string& policy = "") {
  const std::string path = testing::TempDir() + "/tiny.gguf";
  EXPECT_TRUE(WriteTinyModel(options, path).ok());
  auto model = LoadRouterModel(*ModelFiles::Open(path, ""), "tiny", policy, 256);
  EXPECT_TRUE(model.ok()) << model.status();
  return *std::move(model);
}

class RequestParserTest : public testing::Test {
 protected:
  static inference::v1::GenerateRequest TextRequest(const std::string& text = "Hello there.") {
    inference::v1::GenerateRequest request;
    request.set_text(text);
    return request;
  }

  RouterRequest ParseOk(const inference::v1::GenerateRequest& request) {
    absl::StatusOr<RouterRequest> parsed = parser_.Parse(request, "");
    EXPECT_TRUE(parsed.ok()) << parsed.status();
    return parsed.ok() ? *parsed : RouterRequest();
  }

  void ExpectRefused(const inference::v1::GenerateRequest& request, const std::string& begin,
                     absl::StatusCode code = absl::StatusCode::kInvalidArgument) {
    const absl::Status status = parser_.Parse(request, "").status();
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_EQ(status.message().substr(0, begin.size()), begin) << status;
  }

  void ExpectSamplingRefused(const std::string& begin,
                             const std::function<void(inference::v1::SamplingParams*)>& change) {
    inference::v1::GenerateRequest request = TextRequest();
    change(request.mutable_sampling_params());
    ExpectRefused(request, begin);
  }

  SimulatedClock clock_;
  std::unique_ptr<const RouterModel> model_ = TinyModel();
  RequestParser parser_{model_.get(), &clock_};
};

}  // namespace kedge

#endif  // KEDGE_ROUTER_REQUEST_PARSER_TESTING_H_

// Tested by file_kind_test.cc.
#include "common/model/file_kind.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "nlohmann/json.hpp"

namespace kedge {
namespace {

namespace fs = std::filesystem;

constexpr absl::string_view kOllamaModel = "application/vnd.ollama.image.model";

// As a shell takes it for one word.
std::string Quoted(const std::string& word) {
  const bool is_plain = !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
    return absl::ascii_isalnum(c) || absl::StrContains("/._-+,:=@%", absl::string_view(&c, 1));
  });
  return is_plain ? word : absl::StrCat("'", absl::StrReplaceAll(word, {{"'", "'\\''"}}), "'");
}

std::string HowToConvert(const std::string& folder) {
  return absl::StrCat("make a GGUF file of it, `python3 tools/convert_hf.py ", Quoted(folder),
                      " model.gguf` (tools/README.md says what that needs), and give that");
}

// Of a file of weights: converted is the folder that it lies in, with the configuration and vocabulary beside it.
std::string OfWeights(absl::string_view what, const std::string& path) {
  const std::string folder = fs::path(path).parent_path().string();
  return absl::StrCat(what, "; its folder is the model: ", HowToConvert(folder.empty() ? "." : folder));
}

// A length of 8 bytes, then as much JSON.
bool IsSafetensors(absl::string_view beginning) {
  uint64_t length = 0;
  if (beginning.size() < sizeof(length) + 1) return false;
  std::memcpy(&length, beginning.data(), sizeof(length));
  return beginning[sizeof(length)] == '{' && length < uint64_t{100} << 20;
}

// PyTorch's files are zip archives of a pickle, or, before 1.6, the pickle itself.
bool IsPyTorch(absl::string_view beginning) {
  if (absl::StartsWith(beginning, "PK\3\4")) return absl::StrContains(beginning, "/data.pkl");
  return beginning.size() > 1 && beginning[0] == '\x80' && beginning[1] >= 2 && beginning[1] <= 5;
}

bool IsJsonObject(absl::string_view text) {
  if (text.empty() || text[0] != '{') return false;
  const absl::string_view inside = absl::StripLeadingAsciiWhitespace(text.substr(1));
  return !inside.empty() && (inside[0] == '"' || inside[0] == '}');
}

// The path of the model's blob, or its digest where the folders are not Ollama's; "" if this is no such manifest.
std::string BlobInManifest(const std::string& path, absl::string_view text) {
  const nlohmann::json manifest = nlohmann::json::parse(text.begin(), text.end(), nullptr, false);
  if (!manifest.is_object() || !manifest.contains("layers") || !manifest["layers"].is_array()) return "";
  for (const nlohmann::json& layer : manifest["layers"]) {
    const auto field = [&layer](const char* name) {
      return layer.is_object() && layer.contains(name) && layer[name].is_string() ? layer[name].get<std::string>() : "";
    };
    if (field("mediaType") != kOllamaModel) continue;
    const std::string blob = absl::StrReplaceAll(field("digest"), {{":", "-"}});
    const size_t folders = path.rfind("/manifests/");
    return folders == std::string::npos ? blob : absl::StrCat(path.substr(0, folders), "/blobs/", blob);
  }
  return "";
}

}  // namespace

std::string DescribeOtherFile(const std::string& path, absl::string_view beginning) {
  const std::string text = absl::AsciiStrToLower(absl::StripLeadingAsciiWhitespace(beginning.substr(0, 1024)));
  if (absl::StartsWith(text, "version https://git-lfs")) {
    return "a pointer of Git LFS, which stands for the file until `git lfs pull` brings it";
  }
  if (absl::StartsWith(text, "<!doctype") || absl::StartsWith(text, "<html") || absl::StartsWith(text, "<?xml")) {
    return "a web page: what was downloaded is the page about the file, or an error; fetch the file itself";
  }
  if (IsSafetensors(beginning)) return OfWeights("a safetensors file", path);
  if (IsPyTorch(beginning)) return OfWeights("a PyTorch file", path);
  for (absl::string_view old : {"lmgg", "fmgg", "tjgg", "algg"}) {
    if (absl::StartsWith(beginning, old)) {
      return "a GGML file, the format before GGUF; fetch the model as GGUF, or convert it with llama.cpp's scripts";
    }
  }
  if (IsJsonObject(text)) {
    if (const std::string blob = BlobInManifest(path, beginning); !blob.empty()) {
      return absl::StrCat("a manifest of Ollama; give the model that it names: ", Quoted(blob));
    }
    return absl::StrCat("a JSON file; of a Hugging Face folder, ", HowToConvert(fs::path(path).parent_path().string()));
  }
  for (absl::string_view packed : {"PK\3\4", "\x1f\x8b",
                                   "\xfd"
                                   "7zXZ",
                                   "BZh", "\x28\xb5\x2f\xfd"}) {
    if (absl::StartsWith(beginning, packed)) return "an archive or compressed file; unpack it and give the GGUF file";
  }
  if (absl::StrContains(path, "/blobs/sha256-")) {
    return "a blob of Ollama that is no model (a template, parameters or a licence); its manifest names the model's";
  }
  return "it does not begin with 'GGUF'";
}

std::string DescribeFolder(const std::string& path) {
  std::vector<std::string> models;
  bool is_hugging_face = false;
  std::error_code error;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (absl::EndsWith(name, ".gguf")) models.push_back(Quoted(it->path().string()));
    is_hugging_face |= name == "config.json";
  }
  if (!models.empty()) {
    constexpr size_t kNamed = 3;
    std::sort(models.begin(), models.end());
    const bool all = models.size() <= kNamed;
    if (!all) models.resize(kNamed);
    return absl::StrCat("a folder; give the model's file: ", absl::StrJoin(models, ", "), all ? "" : ", ...");
  }
  if (is_hugging_face) return absl::StrCat("a Hugging Face folder; ", HowToConvert(path));
  return "a folder without a model; give a GGUF file";
}

}  // namespace kedge

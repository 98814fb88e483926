#include "common/tokenizer/chat_template_source.h"

#include <fstream>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace kedge {
namespace {

std::string Fault(const std::string& content) {
  const std::string path = testing::TempDir() + "/chat.jinja";
  std::ofstream(path, std::ios::binary) << content;
  const absl::StatusOr<std::string> source = ReadChatTemplateFile(path);
  if (source.ok()) return "ok: " + *source;
  EXPECT_EQ(source.status().code(), absl::StatusCode::kInvalidArgument);
  const std::string flag = absl::StrCat("--chat-template: ", path, ": ");
  EXPECT_EQ(source.status().message().substr(0, flag.size()), flag);
  return std::string(source.status().message().substr(flag.size()));
}

TEST(ChatTemplateSourceTest, AFileIsATemplateOrItsFaultIsNamed) {
  EXPECT_EQ(Fault("{{ messages }}\n"), "ok: {{ messages }}\n");
  EXPECT_EQ(Fault(""), "is empty");
  EXPECT_EQ(Fault("\xFF\xFE{\0{"), "not valid UTF-8 at byte 0");  // as Windows writes it
  EXPECT_EQ(Fault("a\n{% if x %}"), "line 2: `if` has no `endif`");
  EXPECT_EQ(Fault("a{% include 'x' %}").substr(0, 33), "line 1: the tag `include` is not ");
  EXPECT_EQ(Fault(std::string(1 << 20, 'x')).substr(0, 5), "ok: x");
  EXPECT_EQ(Fault(std::string((1 << 20) + 1, 'x')), "a chat template has at most 1048576 bytes");
}

TEST(ChatTemplateSourceTest, WhatCannotBeReadIsNamed) {
  EXPECT_EQ(ReadChatTemplateFile("/no/such\n\xFF").status().message(),
            "--chat-template: /no/such\\n\\xff: cannot be read");
  EXPECT_EQ(ReadChatTemplateFile(testing::TempDir()).status().message(),
            absl::StrCat("--chat-template: ", testing::TempDir(), ": cannot be read"));
}

}  // namespace
}  // namespace kedge

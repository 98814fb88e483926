// The tool. Parsing first and whole, then one action; exit codes 0 (ok), 1 (failed), 2 (usage).
//
// Tested by main_test.sh.
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/commands.h"
#include "cli/console.h"
#include "common/base/version.h"
#include "common/rpc/flags.h"

namespace kedge {
namespace {

// `kedge help [COMMAND...]`: the same as `kedge COMMAND... --help`.
void AddHelpCommand(CLI::App* app, Action* action) {
  auto words = std::make_shared<std::vector<std::string>>();
  CLI::App* command = app->add_subcommand("help", "Show the options of a command");
  command->add_option("COMMAND", *words, "Which one");
  command->callback([app, words, action] {
    *action = [app, words] {
      CLI::App* shown = app;
      std::string parents;
      for (const std::string& word : *words) {
        std::vector<CLI::App*> named = shown->get_subcommands([&word](CLI::App* sub) { return sub->check_name(word); });
        if (named.empty()) {
          Say(absl::StrCat("there is no command `", word, "`"));
          return kExitUsage;
        }
        parents = absl::StrCat(parents, parents.empty() ? "" : " ", shown->get_name());
        shown = named.front();
      }
      WriteOut(shown->help(parents));
      return kExitOk;
    };
  });
}

// What to say about a command line that does not parse. CLI11 says of an unknown command that one is missing.
std::string Complaint(const CLI::App& app, int argc, char** argv, const CLI::ParseError& error) {
  const CLI::App* at = &app;
  for (int i = 1; i < argc && argv[i][0] != '-'; ++i) {
    std::vector<const CLI::App*> commands =
        at->get_subcommands([](const CLI::App* sub) { return !sub->get_name().empty(); });
    if (commands.empty()) break;  // the words are arguments
    const CLI::App* named = nullptr;
    for (const CLI::App* command : commands) {
      if (command->check_name(argv[i])) named = command;
    }
    if (named == nullptr) return absl::StrCat("there is no command `", argv[i], "`");
    at = named;
  }
  return error.what();
}

int Main(int argc, char** argv) {
  signal(SIGXFSZ, SIG_IGN);  // a limit of the size of files is a failed write: caches and logs are optional
  CLI::App app(
      "Kedge serves language models with anchors: prefill and decode on separate nodes, and only kept rows of "
      "the KV cache travel.\n",
      "kedge");
  app.set_version_flag("--version", absl::StrCat("kedge ", kVersion));
  app.require_subcommand(1);
  Action action;
  AddRunCommand(&app, &action);
  AddUpCommand(&app, &action);
  AddServeCommand(&app, &action);
  AddGenerateCommand(&app, &action);
  AddChatCommand(&app, &action);
  AddHealthCommand(&app, &action);
  AddNodesCommand(&app, &action);
  AddCertsCommand(&app, &action);
  AddKeyCommand(&app, &action);
  AddModelCommand(&app, &action);
  AddScoreCommand(&app, &action);
  AddEvalCommand(&app, &action);
  AddCalibrateCommand(&app, &action);
  AddBenchCommand(&app, &action);
  AddDoctorCommand(&app, &action);
  AddHelpCommand(&app, &action);
  app.footer(  // last: commands would inherit it
      "./kedge test [BAZEL ARGUMENTS] builds and runs all tests.\n"
      "./kedge cuda fetches a CUDA toolkit. Where there are a toolkit and an NVIDIA GPU, ./kedge builds for it\n"
      "(KEDGE_CUDA=1: wherever there is a toolkit; KEDGE_CUDA=0: never).");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {  // --help and --version
      app.exit(error);
      return kExitOk;
    }
    Say(Complaint(app, argc, argv, error));
    std::string command = "kedge";
    for (const CLI::App* at = &app; !at->get_subcommands().empty();) {
      at = at->get_subcommands().front();  // that is on the command line
      if (at->get_name().empty()) break;   // a group of options
      absl::StrAppend(&command, " ", at->get_name());
    }
    Say(absl::StrCat("see `", command, " --help`"));
    return kExitUsage;
  }
  if (const absl::Status status = CheckFlagTexts(app); !status.ok()) {
    Say(status.message());
    return kExitUsage;
  }
  return action();
}

}  // namespace
}  // namespace kedge

int main(int argc, char** argv) { return kedge::Main(argc, argv); }

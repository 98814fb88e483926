// Two processes that say short messages to each other. Forked before either knows CUDA, which does not survive a fork.
#ifndef KEDGE_TESTS_GPU_TWO_PROCESSES_H_
#define KEDGE_TESTS_GPU_TWO_PROCESSES_H_

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace kedge::probe {

class OtherProcess {
 public:
  // Runs body(peer) in a process of its own as well; returns the peer of this one.
  template <typename Body>
  static OtherProcess Start(Body body) {
    int sockets[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0) Fail("socketpair");
    const pid_t child = fork();
    if (child < 0) Fail("fork");
    close(sockets[child == 0 ? 0 : 1]);
    if (child == 0) {
      OtherProcess peer(sockets[1], -1);
      body(peer);
      std::exit(0);
    }
    return OtherProcess(sockets[0], child);
  }

  template <typename T>
  void Say(const T& message) {
    if (write(socket_, &message, sizeof(message)) != ssize_t{sizeof(message)}) Fail("the other process is gone");
  }
  template <typename T>
  T Hear() {
    T message;
    if (recv(socket_, &message, sizeof(message), MSG_WAITALL) != ssize_t{sizeof(message)}) {
      Fail("the other process is gone");
    }
    return message;
  }
  // Whether it ended well.
  bool Ended() {
    int status = 0;
    return waitpid(child_, &status, 0) == child_ && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

 private:
  OtherProcess(int socket, pid_t child) : socket_(socket), child_(child) {}
  [[noreturn]] static void Fail(const char* what) {
    std::perror(what);
    std::exit(1);
  }

  const int socket_;
  const pid_t child_;
};

}  // namespace kedge::probe

#endif  // KEDGE_TESTS_GPU_TWO_PROCESSES_H_

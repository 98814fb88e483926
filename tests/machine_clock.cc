// A machine whose clock is wrong, and is set while programs run: for a program that is started with this as LD_PRELOAD.
// KEDGE_CLOCKS names a directory; a file there that has the program's name holds 8 bytes, the seconds by which its clock
// is ahead, as an int64 of this machine. Steady clocks stay what they are. A wait that ends at a time of the clock, as
// Abseil's do, ends when the wrong clock says so, as Linux has it.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <cstdint>
#include <cstdlib>
#include <string>

namespace {

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kLook = kSecond / 50;  // the clock may be set while somebody waits

const volatile int64_t* MapShift() {
  static const int64_t kNone = 0;
  const char* const clocks = getenv("KEDGE_CLOCKS");
  if (clocks == nullptr) return &kNone;
  const int file = open((std::string(clocks) + "/" + program_invocation_short_name).c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return &kNone;
  void* const map = mmap(nullptr, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
  close(file);
  return map == MAP_FAILED ? &kNone : static_cast<const volatile int64_t*>(map);
}

int64_t ShiftSeconds() {
  static const volatile int64_t* const shift = MapShift();
  return *shift;
}

template <typename Function>
Function Real(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

using Syscall = long (*)(long, ...);
Syscall RealSyscall() {
  static const auto real = Real<Syscall>("syscall");
  return real;
}

int64_t Nanoseconds(const timespec& time) { return time.tv_sec * kSecond + time.tv_nsec; }

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* time) {
  static const auto real = Real<int (*)(clockid_t, timespec*)>("clock_gettime");
  const int result = real(clock, time);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += ShiftSeconds();
  return result;
}

int gettimeofday(timeval* time, void*) {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  *time = {now.tv_sec, now.tv_nsec / 1000};
  return 0;
}

time_t time(time_t* out) {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}

long syscall(long number, ...) {
  va_list list;
  va_start(list, number);
  long a[6];
  for (long& argument : a) argument = va_arg(list, long);
  va_end(list);
  const auto* const until = reinterpret_cast<const timespec*>(a[3]);
  if (number != SYS_futex || (a[1] & FUTEX_CLOCK_REALTIME) == 0 || until == nullptr) {
    return RealSyscall()(number, a[0], a[1], a[2], a[3], a[4], a[5]);
  }
  for (;;) {
    timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const int64_t left = Nanoseconds(*until) - Nanoseconds(now);
    clock_gettime(CLOCK_MONOTONIC, &now);
    const int64_t end = Nanoseconds(now) + std::clamp<int64_t>(left, 0, kLook);
    const timespec wake{end / kSecond, end % kSecond};
    const long result = RealSyscall()(number, a[0], a[1] & ~FUTEX_CLOCK_REALTIME, a[2], &wake, a[4], a[5]);
    if (result == 0 || errno != ETIMEDOUT || left <= kLook) return result;
  }
}

}  // extern "C"

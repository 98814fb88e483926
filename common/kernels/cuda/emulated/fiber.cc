// Switching saves what a function call must keep and exchanges the stack pointer: 12 instructions. Elsewhere than on
// x86-64 the C library does it, with two system calls each time. Tested by grid_test.cc.
#include "common/kernels/cuda/emulated/fiber.h"

#include <sys/mman.h>
#include <ucontext.h>

#include <cstdint>

#include "common/base/check.h"
#include "common/kernels/cuda/emulated/sanitizers.h"

#if defined(__x86_64__)
extern "C" void KedgeSwitchStacks(void** save, void* load);
asm(R"(
.text
.type KedgeSwitchStacks, @function
.globl KedgeSwitchStacks
KedgeSwitchStacks:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size KedgeSwitchStacks, . - KedgeSwitchStacks
)");
#endif

namespace kedge::cuda::emulated {
namespace {

constexpr size_t kStackBytes = 256 << 10;  // of addresses: memory comes as it is touched
constexpr size_t kGuardBytes = 4 << 10;

char* NewStack() {
  void* stack = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  KEDGE_CHECK(stack != MAP_FAILED);
  KEDGE_CHECK(mprotect(stack, kGuardBytes, PROT_NONE) == 0);
  return static_cast<char*>(stack);
}

// Stacks begin at unlike addresses: those of a block's threads would else share a few lines of every cache.
constexpr size_t kOffsets = 64, kOffsetBytes = 17 * 64;

thread_local Fiber* running = nullptr;
thread_local Fiber* came_from = nullptr;

}  // namespace

Fiber::Fiber() : actor_(RunningActor()) {
#if !defined(__x86_64__)
  position_ = new ucontext_t;
#endif
}

Fiber::Fiber(void (*entry)()) : entry_(entry), stack_(NewStack()), size_(kStackBytes), actor_(NewActor()) {
#if !defined(__x86_64__)
  position_ = new ucontext_t;
#endif
  Rewind();
}

void Fiber::Rewind() {
  const size_t offset = reinterpret_cast<uintptr_t>(stack_) / kStackBytes % kOffsets * kOffsetBytes;
#if defined(__x86_64__)
  void** top = reinterpret_cast<void**>(stack_ + kStackBytes - offset);
  *--top = nullptr;  // where Begin would return to, if it did
  *--top = reinterpret_cast<void*>(&Fiber::Begin);
  for (int i = 0; i < 6; ++i) *--top = nullptr;  // the registers
  position_ = top;
#else
  ucontext_t* context = static_cast<ucontext_t*>(position_);
  getcontext(context);
  context->uc_stack.ss_sp = stack_;
  context->uc_stack.ss_size = kStackBytes - offset;
  context->uc_link = nullptr;
  makecontext(context, &Fiber::Begin, 0);
#endif
}

Fiber::~Fiber() {
#if !defined(__x86_64__)
  delete static_cast<ucontext_t*>(position_);
#endif
  if (entry_ == nullptr) return;
  DeleteActor(actor_);
  munmap(stack_, kStackBytes);
}

void Fiber::Switch(Fiber& to, bool for_good) {
  running = &to;
  came_from = this;
  BecomeActor(to.actor_);
  if (HasAddressSanitizer()) {
    __sanitizer_start_switch_fiber(for_good ? nullptr : &fake_stack_, to.stack_, to.size_);
  }
#if defined(__x86_64__)
  KedgeSwitchStacks(&position_, to.position_);
#else
  swapcontext(static_cast<ucontext_t*>(position_), static_cast<ucontext_t*>(to.position_));
#endif
  if (HasAddressSanitizer()) __sanitizer_finish_switch_fiber(fake_stack_, nullptr, nullptr);
}

__attribute__((no_sanitize("address"))) void Fiber::Begin() {
  if (HasAddressSanitizer()) {  // it knows the stack that we came from, and we do where that is the caller's own
    const void* stack = nullptr;
    size_t size = 0;
    __sanitizer_finish_switch_fiber(nullptr, &stack, &size);
    if (came_from->stack_ == nullptr) {
      came_from->stack_ = const_cast<char*>(static_cast<const char*>(stack));
      came_from->size_ = size;
    }
  }
  running->entry_();
}

void Fiber::SwitchTo(Fiber& to) { Switch(to, false); }

void Fiber::Leave(Fiber& to) {
  Switch(to, true);
  __builtin_unreachable();
}

}  // namespace kedge::cuda::emulated

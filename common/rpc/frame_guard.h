// Keeps headers and messages without end from gRPC. Of a header it copies all that it has whenever more comes
// (CVE-2023-33953): a few connections that send a few megabytes hold up everybody for minutes. Later versions look at
// the size first. Of a message it holds up to 4 GiB before it says that 16 MiB would have been the most, and of
// messages as many as there are calls.
#ifndef KEDGE_COMMON_RPC_FRAME_GUARD_H_
#define KEDGE_COMMON_RPC_FRAME_GUARD_H_

namespace kedge {

// From now on what this connection receives is followed by a FrameMeter; one whose client goes too far is at its end
// there, as if the client had reset it. So is one that sends too large a part of what all together have sent of
// incomplete messages (UnreadBytes), where that is more than a 64th of the memory that the process may use (at least
// 128 MiB, at most 256). For connections without TLS: those with TLS that this process was asked for are followed by
// themselves, decrypted. Thread-safe. REQUIRES: nobody receives from `file` yet.
void GuardFrames(int file);

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_FRAME_GUARD_H_

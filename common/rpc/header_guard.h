// Keeps headers without end from gRPC, which copies all that it has of one whenever more comes (CVE-2023-33953): a few
// connections that send a few megabytes hold up everybody for minutes. Later versions of gRPC look at the size first.
#ifndef KEDGE_COMMON_RPC_HEADER_GUARD_H_
#define KEDGE_COMMON_RPC_HEADER_GUARD_H_

namespace kedge {

// From now on what this connection receives is followed by a HeaderMeter; one whose client goes too far is at its end
// there, as if the client had reset it. For connections without TLS: those with TLS that this process was asked for are
// followed by themselves, decrypted. Thread-safe. REQUIRES: nobody receives from `file` yet.
void GuardHeaders(int file);

}  // namespace kedge

#endif  // KEDGE_COMMON_RPC_HEADER_GUARD_H_

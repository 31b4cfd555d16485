#: summary  REP INSB of 4 GiB in protected mode, over all memory and far beyond: only the budget ends it
#: ends     budget at filling
#: console  any
#: group    adversary

.include "lib.inc"
.include "modes.inc"

    call lib_setup
    to_protected
    mov edi, 0x20000
    mov ecx, 0xffffffff
    mov dx, POST_PORT
filling:
    rep insb
    fail "4 GiB are copied already"

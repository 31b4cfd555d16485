// From the loader to Rust: multiboot headers, 32-bit entry, boot page tables, long mode, the higher half.
//
// The image may lie at any multiple of 2 MiB below 4 GiB (Multiboot2 "Relocatable header tag"), so everything below
// the jump to the higher half addresses memory relative to the load delta in EBP.

.set MB2_MAGIC, 0xe85250d6
.set MB2_LOADED, 0x36d76289

// ---- Multiboot2 header (Multiboot2 Specification, "Header layout") -------------------------------------------------
.section .boot.header, "a"
.balign 8
mb2_header:
    .long MB2_MAGIC
    .long 0                                 // i386 protected mode
    .long mb2_header_end - mb2_header
    .long -(MB2_MAGIC + (mb2_header_end - mb2_header))

    // information request: the tags that we read when the loader has them
    .balign 8
mb2_request:
    .short 1, 1                             // type, optional
    .long mb2_request_end - mb2_request
    .long 1, 3, 6, 8, 9, 12, 14, 15, 21     // command line, modules, memory map, framebuffer, ELF sections,
                                            // EFI64, ACPI old and new, load base
mb2_request_end:
    // console: text mode will do
    .balign 8
    .short 4, 1
    .long 12
    .long 2
    // framebuffer: wish, not condition. GRUB turns it into gfxpayload=1024x768x32,1024x768,auto. On a BIOS grub.cfg
    // should set gfxpayload again after `multiboot2`, ending in "text": where only modes with a palette exist, GRUB
    // (2.06 and later) forgets the palette in the size of the boot information and overruns its heap.
    .balign 8
    .short 5, 1
    .long 20
    .long 1024, 768, 32
    // modules on page boundaries
    .balign 8
    .short 6, 0
    .long 8
    // relocatable: lowest free multiple of 2 MiB below 4 GiB, not below 2 MiB
    .balign 8
    .short 10, 0
    .long 24
    .long 0x200000, 0xffffffff, 0x200000, 1
    .balign 8
    .short 0, 0
    .long 8
mb2_header_end:

// ---- Multiboot 1 header, only to reach the sentence that says what to do -------------------------------------------
    .balign 4
mb1_header:
    .long 0x1badb002
    .long 0x00010000                        // the addresses below are valid (the image is ELF64: not for this loader)
    .long -(0x1badb002 + 0x00010000)
    .long mb1_header
    .long boot_load_start
    .long boot_load_end
    .long boot_bss_end
    .long boot_start

// ---- 32-bit entry --------------------------------------------------------------------------------------------------
.section .boot.text, "ax"
.code32
.global boot_start
boot_start:
    cli
    cld
    // ESP is undefined. The one call that finds our own address borrows four bytes of the boot information.
    mov edx, [ebx]
    lea esp, [ebx + 4]
    call .Lhere
.Lhere:
    pop ebp
    mov [ebx], edx
    sub ebp, offset .Lhere                  // EBP = load address - link address
    lea esp, [ebp + boot_stack_top]

    lea esi, [ebp + text_not_multiboot2]
    cmp eax, MB2_LOADED
    jne boot_refuse

    mov edi, ebx                            // EDI = boot information
    rdtsc                                   // when we came: the time of the boot counts from here
    mov [ebp + boot_tsc], eax
    mov [ebp + boot_tsc + 4], edx
    lea esi, [ebp + text_no_long_mode]
    mov eax, 0x80000000
    cpuid
    cmp eax, 0x80000001
    jb boot_refuse
    mov eax, 0x80000001
    cpuid
    test edx, 1 << 29
    jz boot_refuse

    // The first 4 GiB, by 2 MiB: seen at 0 (until the jump) and in the direct map.
    lea ebx, [ebp + boot_pd]
    mov eax, 0x83                           // present, writable, large
    mov ecx, 2048
.Lfill_low:
    mov [ebx], eax
    add ebx, 8
    add eax, 0x200000
    dec ecx
    jnz .Lfill_low
    // The image: the first 16 MiB from KERNEL_VMA are the 16 MiB from the load delta.
    lea ebx, [ebp + boot_pd_image]
    lea eax, [ebp + 0x83]
    mov ecx, 8
.Lfill_image:
    mov [ebx], eax
    add ebx, 8
    add eax, 0x200000
    dec ecx
    jnz .Lfill_image

    lea eax, [ebp + boot_pd + 3]
    lea ebx, [ebp + boot_pdpt]
    mov ecx, 4
.Lfill_pdpt:
    mov [ebx], eax
    add ebx, 8
    add eax, 4096
    dec ecx
    jnz .Lfill_pdpt
    lea eax, [ebp + boot_pd_image + 3]
    mov [ebp + boot_pdpt_image + 510 * 8], eax
    lea eax, [ebp + boot_pdpt + 3]
    mov [ebp + boot_pml4], eax
    mov [ebp + boot_pml4 + 256 * 8], eax
    lea eax, [ebp + boot_pdpt_image + 3]
    mov [ebp + boot_pml4 + 511 * 8], eax

    // SDM 3A "Initializing IA-32e Mode"
    mov eax, 1 << 5                         // CR4.PAE
    mov cr4, eax
    lea eax, [ebp + boot_pml4]
    mov cr3, eax
    mov ecx, 0xc0000080                     // IA32_EFER
    rdmsr
    or eax, 1 << 8                          // LME
    wrmsr
    mov eax, 0x80010011                     // CR0: PG, WP, ET, PE
    mov cr0, eax

    lea eax, [ebp + boot_gdt]
    mov [ebp + boot_gdt_pointer + 2], eax
    lgdt [ebp + boot_gdt_pointer]
    lea eax, [ebp + boot_long]
    push 8
    push eax
    retf

.code64
boot_long:
    mov rax, offset boot_high
    jmp rax

// ---- a sentence on COM1 and on the text screen, then the end: ESI = text -------------------------------------------
.code32
boot_refuse:
    mov dx, 0x3f9                           // 115200 8N1, no interrupts
    xor eax, eax
    out dx, al
    mov dx, 0x3fb
    mov al, 0x80
    out dx, al
    mov dx, 0x3f8
    mov al, 1
    out dx, al
    mov dx, 0x3f9
    xor eax, eax
    out dx, al
    mov dx, 0x3fb
    mov al, 3
    out dx, al
    mov edi, 0xb8000
.Lrefuse_byte:
    lodsb
    test al, al
    jz .Lrefuse_end
    cmp al, 32
    jb .Lrefuse_serial                      // CR and LF are for the wire
    mov ah, 0x4f                            // white on red
    mov [edi], ax
    add edi, 2
.Lrefuse_serial:
    mov bl, al
    mov ecx, 100000                         // no UART: do not wait for ever
    mov dx, 0x3fd
.Lrefuse_wait:
    in al, dx
    test al, 0x20
    jnz .Lrefuse_send
    dec ecx
    jnz .Lrefuse_wait
.Lrefuse_send:
    mov dx, 0x3f8
    mov al, bl
    out dx, al
    jmp .Lrefuse_byte
.Lrefuse_end:
    cli
    hlt
    jmp .Lrefuse_end

text_not_multiboot2:
    .asciz "hv: not booted by multiboot2: start it from GRUB with `multiboot2 /boot/hv.elf`, or use the ISO image\r\n"
text_no_long_mode:
    .asciz "hv: this CPU has no long mode (64-bit mode): a 64-bit CPU with Intel VT-x or AMD-V is needed\r\n"

    .balign 8
boot_tsc:
    .quad 0
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff                // 64-bit code
    .quad 0x00cf93000000ffff                // data
boot_gdt_pointer:
    .short 23
    .long 0

.section .boot.bss, "aw", @nobits
.balign 4096
boot_pml4:
    .skip 4096
boot_pdpt:
    .skip 4096
boot_pdpt_image:
    .skip 4096
boot_pd_image:
    .skip 4096
boot_pd:
    .skip 4 * 4096
    .skip 512
boot_stack_top:

// ---- 64-bit, in the higher half ------------------------------------------------------------------------------------
.section .text.boot_high, "ax"
.code64
boot_high:
    mov eax, 16
    mov ds, eax
    mov es, eax
    mov ss, eax
    xor eax, eax
    mov fs, eax
    mov gs, eax
    // No identity map from here on. (The boot GDT goes with it: nothing loads a selector before Rust has its own.)
    mov rax, cr3
    mov rcx, 0xffff800000000000
    mov qword ptr [rax + rcx], 0
    mov cr3, rax
    lea rsp, [rip + __stack_top_main]
    mov edi, edi                            // HPA of the boot information, upper half zero
    mov esi, ebp                            // load delta
    add rcx, rsi
    mov rdx, [rcx + boot_tsc]               // by the direct map
    xor ebp, ebp                            // the last frame
    call kernel_main
    ud2

/*
 * Runs the Linux kernel on the machine itself as hv runs it in a virtual one: a multiboot2 kernel that takes the same
 * modules (`linux … -- COMMAND LINE` and `initrd`) and enters the kernel by its 64-bit boot protocol. What a guest is
 * compared with. The time-stamp counter at that moment is put on the kernel's command line as `hv_entry=`, for
 * tests/linux/init to print; a line on the serial port would take its own time.
 *
 * For one processor, a BIOS, and memory below 4 GiB. Kernel's Documentation/arch/x86/boot.rst, "64-bit Boot Protocol".
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

__asm__(
    ".text\n"
    ".balign 8\n"
    "header: .long 0xE85250D6, 0, header_end - header, -(0xE85250D6 + header_end - header)\n"
    "  .short 0, 0; .long 8\n"
    "header_end:\n"
    ".text\n"
    ".globl _start\n"
    "_start: cli; cld\n"
    "  mov $stack_top, %esp\n"
    "  push %ebx\n"
    "  push %eax\n"
    "  call prepare\n"
    /* EAX: the kernel's 64-bit entry. */
    "  mov %eax, %ebx\n"
    "  mov $boot_params, %esi\n"
    "  lgdt gdt_pointer\n"
    "  mov %cr4, %eax; or $0x20, %eax; mov %eax, %cr4\n"
    "  mov $tables, %eax; mov %eax, %cr3\n"
    "  mov $0xC0000080, %ecx; rdmsr; or $0x100, %eax; wrmsr\n"
    "  mov %cr0, %eax; or $0x80000001, %eax; mov %eax, %cr0\n"
    "  ljmp $0x10, $long_mode\n"
    ".code64\n"
    "long_mode: mov $0x18, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %ss; mov %eax, %fs; mov %eax, %gs\n"
    "  mov %ebx, %ebx; mov %esi, %esi\n"
    "  xor %ebp, %ebp; xor %edi, %edi\n"
    "  jmp *%rbx\n"
    ".code32\n"
    ".balign 8\n"
    "gdt: .quad 0, 0, 0x00AF9B000000FFFF, 0x00CF93000000FFFF\n"
    "gdt_pointer: .short 31; .long gdt\n"
    ".bss\n"
    ".balign 16\n"
    ".skip 16384\n"
    "stack_top:\n"
    ".text\n");

struct tag { u32 type, size; };
struct module { u32 type, size, start, end; char text[]; };
struct entry { u64 base, length; u32 kind, zero; };
struct map { u32 type, size, entry_size, version; struct entry entries[]; };

u8 boot_params[4096] __attribute__((aligned(4096)));
u64 tables[6][512] __attribute__((aligned(4096)));
static char command[2048];

static void out(u16 port, u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
static u8 in(u16 port)
{
    u8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void say(const char *text)
{
    for (; *text; text++) {
        while (!(in(0x3FD) & 0x20)) {}
        out(0x3F8, (u8)*text);
    }
}

static void fail(const char *text)
{
    say("\r\nhv: fail: bare: ");
    say(text);
    say("\r\n");
    while (!(in(0x3FD) & 0x40)) {}
    out(0x501, 1);
    for (;;) __asm__ volatile("cli; hlt");
}

static void copy(u32 to, u32 from, u32 count)
{
    if (from < to + count && to < from + count && to > from) fail("no room to move the modules");
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

static u32 get(u32 at) { return *(u32 *)at; }
static void set(u32 offset, u32 value) { *(u32 *)(boot_params + offset) = value; }

static int starts(const char *text, const char *with)
{
    while (*with && *text == *with) text++, with++;
    return !*with;
}

static char *append(char *at, const char *text)
{
    while (*text && at < command + sizeof command - 1) *at++ = *text++;
    *at = 0;
    return at;
}

__attribute__((used)) u32 prepare(u32 magic, u32 info)
{
    const struct module *kernel = 0, *initrd = 0;
    const struct map *map = 0;
    u32 top = 0, image, size, setup, target, init_size, entries = 0;
    char *end = command;

    out(0x3F9, 0);
    out(0x3FB, 0x80);
    out(0x3F8, 1);
    out(0x3F9, 0);
    out(0x3FB, 3);
    out(0x3FA, 7);
    out(0x3FC, 3);
    if (magic != 0x36D76289) fail("not loaded by multiboot2");
    for (u32 at = info + 8; get(at) != 0; at += (get(at + 4) + 7) & ~7u) {
        const struct module *module = (const struct module *)at;
        if (get(at) == 3 && starts(module->text, "linux")) kernel = module;
        if (get(at) == 3 && starts(module->text, "initrd")) initrd = module;
        if (get(at) == 6) map = (const struct map *)at;
    }
    if (!kernel || !initrd || !map) fail("modules `linux` and `initrd` and a memory map are needed");
    for (const char *text = kernel->text; *text; text++) {
        if (starts(text, " -- ")) {
            end = append(end, text + 4);
            break;
        }
    }

    /* The memory map, and the end of the highest memory below 4 GiB. */
    for (u32 at = (u32)map->entries; at < (u32)map + map->size && entries < 128; at += map->entry_size, entries++) {
        const struct entry *e = (const struct entry *)at;
        u8 *to = boot_params + 0x2D0 + entries * 20;
        *(u64 *)to = e->base;
        *(u64 *)(to + 8) = e->length;
        *(u32 *)(to + 16) = e->kind;
        if (e->kind == 1 && e->base + e->length < 0x100000000ull && (u32)(e->base + e->length) > top)
            top = (u32)(e->base + e->length);
    }
    boot_params[0x1E8] = (u8)entries;

    /* GRUB puts the modules behind this program, where the kernel wants to be: to the top with them. */
    u32 initrd_size = initrd->end - initrd->start;
    u32 initrd_to = (top - initrd_size) & ~0xFFFu;
    size = kernel->end - kernel->start;
    image = (initrd_to - size) & ~0xFFFu;
    copy(initrd_to, initrd->start, initrd_size);
    copy(image, kernel->start, size);

    if (get(image + 0x202) != 0x53726448) fail("the module `linux` is no bzImage");
    if (!(*(u16 *)(image + 0x236) & 1)) fail("the kernel has no 64-bit entry");
    setup = *(u8 *)(image + 0x1F1);
    setup = ((setup ? setup : 4) + 1) * 512;
    target = get(image + 0x258);
    init_size = get(image + 0x260);
    if (target < 0x400000 || target + init_size > image) fail("not enough memory for the kernel");
    copy(target, image + setup, size - setup);

    copy((u32)boot_params + 0x1F1, image + 0x1F1, 0x202u + *(u8 *)(image + 0x201) - 0x1F1u);
    boot_params[0x210] = 0xFF;
    set(0x218, initrd_to);
    set(0x21C, initrd_size);
    set(0x228, (u32)command);

    /* The first 4 GiB, as they are. */
    tables[0][0] = (u32)tables[1] | 3;
    for (u32 i = 0; i < 4; i++) tables[1][i] = (u32)tables[2 + i] | 3;
    for (u32 i = 0; i < 2048; i++) tables[2 + i / 512][i % 512] = (u64)i << 21 | 0x83;

    say("bare: entering the kernel\r\n");
    while (!(in(0x3FD) & 0x40)) {}
    u32 low, high;
    char digits[11];
    end = append(end, " hv_entry=0x");
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    if (high > 0xFF) fail("the time-stamp counter is too far on");
    for (int i = 9; i >= 0; i--) {
        digits[i] = "0123456789abcdef"[low & 15];
        low = low >> 4 | (high & 15) << 28;
        high >>= 4;
    }
    digits[10] = 0;
    append(end, digits);
    return target + 0x200;
}

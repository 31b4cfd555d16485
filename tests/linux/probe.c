/*
 * What tests/linux/init asks of a guest's processor, without a C library and for 32 and 64 bits:
 *
 *   probe tsc              prints the time-stamp counter
 *   probe marker [ENTRY]   prints `hv-marker`, the counter, and `entry` with ENTRY, waits until that is out, switches off
 *   probe drain            waits until all output is out
 *   probe memory MEBIBYTES fills that much memory with a pattern and reads it back, twice
 *   probe vector           two processes on one processor each keep an eye on their own x87, SSE, AVX, AVX-512 registers
 *   probe sleep SECONDS    sleeps, from one second's turn of the real-time clock to a later one, and tells the times
 *   probe cpuid LEAF [SUB] prints EAX, EBX, ECX, EDX
 *
 * Exit status: 0 as it should be, 1 not so, 2 cannot be asked here.
 */
typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long word;
typedef unsigned long long u64;

#ifdef __x86_64__
enum { SYS_READ = 0, SYS_WRITE = 1, SYS_OPEN = 2, SYS_IOCTL = 16, SYS_YIELD = 24, SYS_NANOSLEEP = 35, SYS_FORK = 57,
       SYS_EXIT = 60, SYS_WAIT4 = 61, SYS_REBOOT = 169, SYS_SETAFFINITY = 203, SYS_CLOCK_GETTIME = 228, SYS_MMAP = 9 };
#else
enum { SYS_READ = 3, SYS_WRITE = 4, SYS_OPEN = 5, SYS_IOCTL = 54, SYS_YIELD = 158, SYS_NANOSLEEP = 162, SYS_FORK = 2,
       SYS_EXIT = 1, SYS_WAIT4 = 114, SYS_REBOOT = 88, SYS_SETAFFINITY = 241, SYS_CLOCK_GETTIME = 265, SYS_MMAP = 192 };
#endif

static long call(long number, word a, word b, word c, word d)
{
    long result;
#ifdef __x86_64__
    register word r10 __asm__("r10") = d;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10) : "rcx", "r11", "memory");
#else
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d) : "memory");
#endif
    return result;
}

/* Anonymous private memory; the last two arguments (no file, offset 0) do not fit in call(). */
static void *map(word size)
{
    long result;
#ifdef __x86_64__
    register word r10 __asm__("r10") = 0x22;
    register word r8 __asm__("r8") = (word)-1;
    register word r9 __asm__("r9") = 0;
    __asm__ volatile("syscall" : "=a"(result) : "a"(SYS_MMAP), "D"(0), "S"(size), "d"(3), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
#else
    __asm__ volatile("push %%ebp; xor %%ebp, %%ebp; int $0x80; pop %%ebp" : "=a"(result)
                     : "a"(SYS_MMAP), "b"(0), "c"(size), "d"(3), "S"(0x22), "D"(-1) : "memory");
#endif
    return result < 0 && result > -4096 ? 0 : (void *)result;
}

/* The compiler may ask for these. */
void *memset(void *to, int value, word count)
{
    u8 *at = to;
    while (count--) {
        *at++ = (u8)value;
        __asm__ volatile("" ::: "memory");
    }
    return to;
}

static char line[256];
static word used;

static void put(const char *text)
{
    while (*text && used < sizeof line) line[used++] = *text++;
}

/* By subtraction, as 32 bits have no division of 64 without a library. */
static void put_number(u64 value)
{
    u64 power = 10000000000000000000ull;
    static const u64 powers[] = { 10000000000000000000ull, 1000000000000000000ull, 100000000000000000ull,
        10000000000000000ull, 1000000000000000ull, 100000000000000ull, 10000000000000ull, 1000000000000ull,
        100000000000ull, 10000000000ull, 1000000000ull, 100000000ull, 10000000ull, 1000000ull, 100000ull, 10000ull,
        1000ull, 100ull, 10ull, 1ull };
    int started = 0;
    for (int i = 0; i < 20; i++) {
        char digit[2] = "0";
        power = powers[i];
        while (value >= power) value -= power, digit[0]++;
        if (digit[0] != '0' || i == 19) started = 1;
        if (started) put(digit);
    }
}

static void put_hex(u32 value)
{
    for (int shift = 28; shift >= 0; shift -= 4) {
        char digit[2] = { "0123456789abcdef"[value >> shift & 15], 0 };
        put(digit);
    }
}

static void flush(void)
{
    call(SYS_WRITE, 1, (word)line, used, 0);
    used = 0;
}

static void say(const char *text)
{
    put(text);
    put("\n");
    flush();
}

static u64 tsc(void)
{
    u32 low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (u64)high << 32 | low;
}

static void cpuid(u32 leaf, u32 sub, u32 regs[4])
{
    __asm__ volatile("cpuid" : "=a"(regs[0]), "=b"(regs[1]), "=c"(regs[2]), "=d"(regs[3]) : "a"(leaf), "c"(sub));
}

static u64 number(const char *text)
{
    u64 value = 0;
    if (text[0] == '0' && text[1] == 'x') {
        for (text += 2; *text; text++) value = value << 4 | (u32)(*text <= '9' ? *text - '0' : (*text | 32) - 'a' + 10);
        return value;
    }
    for (; *text >= '0' && *text <= '9'; text++) value = value * 10 + (u32)(*text - '0');
    return value;
}

static int same(const char *a, const char *b)
{
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

struct time { long seconds, nanoseconds; };

static u32 milliseconds(void)
{
    struct time now;
    call(SYS_CLOCK_GETTIME, 1, (word)&now, 0, 0);
    return (u32)now.seconds * 1000 + (u32)now.nanoseconds / 1000000;
}

static void nap(u32 ms)
{
    struct time span = { (long)(ms / 1000), (long)(ms % 1000 * 1000000) };
    call(SYS_NANOSLEEP, (word)&span, 0, 0, 0);
}

/* --- Memory ------------------------------------------------------------------------------------------------------- */

/* One word in 64 bytes, the cache line's number and its complement: each page and each address line is seen. */
static int memory(u32 mebibytes)
{
    word size = (word)mebibytes << 20, stride = 64 / sizeof(word), count = size / sizeof(word);
    volatile word *at = map(size);
    if (!at) {
        say("no such amount of memory to have");
        return 2;
    }
    for (int round = 0; round < 2; round++) {
        word mask = round ? ~(word)0 : 0;
        for (word i = 0; i < count; i += stride) at[i] = (word)(at + i) ^ mask;
        for (word i = 0; i < count; i += stride) {
            if (at[i] != ((word)(at + i) ^ mask)) {
                put("wrong at MiB ");
                put_number(i * sizeof(word) >> 20);
                say("");
                return 1;
            }
        }
    }
    put_number(mebibytes);
    say(" MiB");
    return 0;
}

/* --- Vector registers --------------------------------------------------------------------------------------------- */

#ifdef __x86_64__
#define REGS16(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11) f(12) f(13) f(14) f(15)
#else
#define REGS16(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7)
#endif
#define REGS8(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7)
#define REGS_HIGH(f) f(16) f(17) f(18) f(19) f(20) f(21) f(22) f(23) f(24) f(25) f(26) f(27) f(28) f(29) f(30) f(31)

struct state {
    u8 vector[32][64];
    u64 mask[8], stack[8];
    u32 mxcsr, unused;
};
static struct state want, got;
enum { SSE, AVX, AVX512 };
static const char *const level_names[] = { "x87 and SSE", "x87, SSE and AVX", "x87, SSE, AVX and AVX-512" };

static int level(void)
{
    u32 regs[4], low, high;
    cpuid(1, 0, regs);
    if (!(regs[2] & 1 << 27) || !(regs[2] & 1 << 28)) return SSE;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    if ((low & 6) != 6) return SSE;
    cpuid(7, 0, regs);
    /* With AVX512BW, whose KMOVQ takes all 64 bits of a mask. */
    if ((low & 0xE6) == 0xE6 && regs[1] & 1 << 16 && regs[1] & 1 << 30) return AVX512;
    return AVX;
}

/* The compiler uses none of these registers itself (-mgeneral-regs-only), so they live from load() to store(). */
static void load(int level, const struct state *from)
{
#define SSE_LOAD(n) __asm__ volatile("movdqu %0, %%xmm" #n :: "m"(from->vector[n]));
#define AVX_LOAD(n) __asm__ volatile("vmovdqu %0, %%ymm" #n :: "m"(from->vector[n]));
#define ZMM_LOAD(n) __asm__ volatile("vmovdqu64 %0, %%zmm" #n :: "m"(from->vector[n]));
#define MASK_LOAD(n) __asm__ volatile("kmovq %0, %%k" #n :: "m"(from->mask[n]));
#define X87_LOAD(n) __asm__ volatile("fildll %0" :: "m"(from->stack[n]));
    __asm__ volatile("fninit");
    REGS8(X87_LOAD)
    __asm__ volatile("ldmxcsr %0" :: "m"(from->mxcsr));
    if (level == SSE) {
        REGS16(SSE_LOAD)
    } else if (level == AVX) {
        REGS16(AVX_LOAD)
    } else {
        REGS16(ZMM_LOAD)
        REGS8(MASK_LOAD)
#ifdef __x86_64__
        REGS_HIGH(ZMM_LOAD)
#endif
    }
}

static void store(int level, struct state *to)
{
#define SSE_STORE(n) __asm__ volatile("movdqu %%xmm" #n ", %0" : "=m"(to->vector[n]));
#define AVX_STORE(n) __asm__ volatile("vmovdqu %%ymm" #n ", %0" : "=m"(to->vector[n]));
#define ZMM_STORE(n) __asm__ volatile("vmovdqu64 %%zmm" #n ", %0" : "=m"(to->vector[n]));
#define MASK_STORE(n) __asm__ volatile("kmovq %%k" #n ", %0" : "=m"(to->mask[n]));
#define X87_STORE(n) __asm__ volatile("fistpll %0" : "=m"(to->stack[7 - n]));
    __asm__ volatile("stmxcsr %0" : "=m"(to->mxcsr));
    REGS8(X87_STORE)
    if (level == SSE) {
        REGS16(SSE_STORE)
    } else if (level == AVX) {
        REGS16(AVX_STORE)
    } else {
        REGS16(ZMM_STORE)
        REGS8(MASK_STORE)
#ifdef __x86_64__
        REGS_HIGH(ZMM_STORE)
#endif
    }
}

/* One of the two processes: 800 rounds that give the processor away at once, then 40 long ones that a timer ends. */
static int keep(int level, u64 seed)
{
    word size = level == SSE ? 16 : level == AVX ? 32 : 64;
    word count = sizeof(word) == 4 ? 8 : level == AVX512 ? 32 : 16;
    for (u32 round = 0; round < 840; round++) {
        for (word i = 0; i < 32; i++) {
            for (word j = 0; j < 64; j += 8) {
                seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
                *(u64 *)&want.vector[i][j] = seed;
            }
        }
        for (word i = 0; i < 8; i++) {
            want.mask[i] = seed + i;
            /* The x87 registers hold 64 bits of an integer exactly, but for the one without a value. */
            want.stack[i] = (seed ^ i) & 0x7FFFFFFFFFFFFFFFull;
        }
        /* All exceptions masked, the rounding mode changes, as does flush-to-zero. */
        want.mxcsr = 0x1F80 | (u32)(seed & 3) << 13 | (u32)(seed >> 2 & 1) << 15;
        load(level, &want);
        if (round < 800) {
            call(SYS_YIELD, 0, 0, 0, 0);
        } else {
            word spins = 500000;
            __asm__ volatile("1: dec %0; jnz 1b" : "+r"(spins) : : "cc");
        }
        store(level, &got);
        if (got.mxcsr != want.mxcsr) return 1;
        for (word i = 0; i < 8; i++) {
            if (got.stack[i] != want.stack[i]) return 2;
            if (level == AVX512 && got.mask[i] != want.mask[i]) return 3;
        }
        for (word i = 0; i < count; i++)
            for (word j = 0; j < size; j += 8)
                if (*(u64 *)&got.vector[i][j] != *(u64 *)&want.vector[i][j]) return 4;
    }
    return 0;
}

static int vector(void)
{
    static const char *const parts[] = { "", "MXCSR", "x87 stack", "mask registers", "vector registers" };
    word processor = 1, usage[32] = { 0 }, switches = 0;
    int kind = level(), bad = 0;
    call(SYS_SETAFFINITY, 0, sizeof processor, (word)&processor, 0);
    for (u64 i = 1; i <= 2; i++)
        if (call(SYS_FORK, 0, 0, 0, 0) == 0) call(SYS_EXIT, (word)keep(kind, i * 0x9E3779B97F4A7C15ull), 0, 0, 0);
    for (int i = 0; i < 2; i++) {
        int status = 0;
        if (call(SYS_WAIT4, (word)-1, (word)&status, 0, (word)usage) < 0) return 2;
        /* ru_nvcsw and ru_nivcsw */
        switches += usage[16] + usage[17];
        if (status) {
            bad = 1;
            put(status & 0x7F ? "killed by a signal; " : "changed: ");
            if (!(status & 0x7F)) put(parts[status >> 8 & 7]), put("; ");
        }
    }
    put(level_names[kind]);
    put(", switched ");
    put_number(switches);
    say(" times");
    return bad || switches < 800;
}

/* --- Time --------------------------------------------------------------------------------------------------------- */

/* The clock's seconds of the hour; below zero when it cannot be read. */
static int rtc_seconds(int file)
{
    int fields[9];
    if (call(SYS_IOCTL, (word)file, 0x80247009, (word)fields, 0) < 0) return -1;
    return fields[1] * 60 + fields[0];
}

/* Waits until the clock shows `after` seconds more than `from`; false when that does not come for a minute. */
static int wait_for(int file, int from, int after)
{
    for (u32 polls = 0; polls < 30000; polls++) {
        int now = rtc_seconds(file);
        if (now < 0) return 0;
        if ((now - from + 3600) % 3600 >= after) return 1;
        nap(2);
    }
    return 0;
}

static int sleep(u32 seconds)
{
    int file = (int)call(SYS_OPEN, (word) "/dev/rtc0", 0, 0, 0), start;
    u32 from, slept, all;
    u64 ticks;
    if (file < 0 || (start = rtc_seconds(file)) < 0) {
        say("no real-time clock (/dev/rtc0)");
        return 2;
    }
    if (!wait_for(file, start, 1)) {
        say("the real-time clock stands still");
        return 1;
    }
    start = rtc_seconds(file);
    ticks = tsc();
    from = milliseconds();
    nap(seconds * 1000 - 100);
    slept = milliseconds() - from;
    if (!wait_for(file, start, (int)seconds)) {
        say("the real-time clock stands still");
        return 1;
    }
    all = milliseconds() - from;
    ticks = tsc() - ticks;
    put("slept ");
    put_number(slept);
    put(" ms of ");
    put_number(seconds * 1000 - 100);
    put(", real-time clock ");
    put_number(seconds);
    put(" s in ");
    put_number(all);
    put(" ms and TSC ");
    put_number(ticks);
    say("");
    return !(slept >= seconds * 1000 - 100 && slept <= seconds * 1010 && all >= seconds * 990 && all <= seconds * 1010);
}

/* --- All of it ---------------------------------------------------------------------------------------------------- */

__attribute__((used)) static void start(word *stack)
{
    word count = stack[0];
    const char *const *words = (const char *const *)(stack + 1);
    const char *what = count > 1 ? words[1] : "";
    int status = 0;
    if (same(what, "tsc")) {
        put_number(tsc());
        say("");
    } else if (same(what, "marker")) {
        u64 now = tsc();
        put("hv-marker ");
        put_number(now);
        if (count > 2) put(" entry "), put_number(number(words[2]));
        put("\n");
        flush();
        call(SYS_IOCTL, 1, 0x5409, 1, 0);
        call(SYS_REBOOT, 0xFEE1DEAD, 672274793, 0x4321FEDC, 0);
    } else if (same(what, "drain")) {
        call(SYS_IOCTL, 1, 0x5409, 1, 0);
    } else if (same(what, "memory") && count > 2) {
        status = memory((u32)number(words[2]));
    } else if (same(what, "vector")) {
        status = vector();
    } else if (same(what, "sleep") && count > 2) {
        status = sleep((u32)number(words[2]));
    } else if (same(what, "cpuid") && count > 2) {
        u32 regs[4];
        cpuid((u32)number(words[2]), count > 3 ? (u32)number(words[3]) : 0, regs);
        for (int i = 0; i < 4; i++) put_hex(regs[i]), put(i < 3 ? " " : "\n");
        flush();
    } else {
        say("probe: tsc, marker, drain, memory MEBIBYTES, vector, sleep SECONDS, cpuid LEAF [SUB]");
        status = 2;
    }
    call(SYS_EXIT, (word)status, 0, 0, 0);
    __builtin_unreachable();
}

#ifdef __x86_64__
__asm__(".globl _start\n_start: xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call start");
#else
__asm__(".globl _start\n_start: xor %ebp, %ebp\n mov %esp, %eax\n and $-16, %esp\n sub $12, %esp\n push %eax\n call start");
#endif

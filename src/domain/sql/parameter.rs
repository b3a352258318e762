//! The parameters that the SQL of a windowed check may name.

use std::fmt;

/// A parameter that SQL may name, as `:window_start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Parameter {
    /// The window's first instant.
    WindowStart,
    /// The first instant after it.
    WindowEnd,
    /// The local date of the beginning of its period.
    WindowDate,
    /// The local date of the beginning of the period after it.
    WindowEndDate,
    /// The zone, as the check or the data spells it.
    Zone,
    /// The offset from UTC with which the window begins, in seconds to the east.
    UtcOffset,
    /// The length of the window in hours.
    WindowHours,
    /// The first instant of the period that is held beside it.
    PastStart,
    /// The first instant after that.
    PastEnd,
    /// The local date with which that begins.
    PastDate,
}

impl Parameter {
    /// All parameters.
    pub const ALL: [Self; 10] = [
        Self::WindowStart,
        Self::WindowEnd,
        Self::WindowDate,
        Self::WindowEndDate,
        Self::Zone,
        Self::UtcOffset,
        Self::WindowHours,
        Self::PastStart,
        Self::PastEnd,
        Self::PastDate,
    ];

    /// Says whether it is an instant or a date.
    pub fn is_of_time(self) -> bool {
        matches!(self, Self::WindowStart | Self::WindowEnd | Self::WindowDate | Self::WindowEndDate)
            || self.is_past()
    }

    /// Says whether it is a date.
    pub fn is_date(self) -> bool {
        matches!(self, Self::WindowDate | Self::WindowEndDate | Self::PastDate)
    }

    /// Says whether it is of the period that is held beside the window.
    pub fn is_past(self) -> bool {
        matches!(self, Self::PastStart | Self::PastEnd | Self::PastDate)
    }

    /// The name in SQL, without its colon.
    pub fn name(self) -> &'static str {
        match self {
            Self::WindowStart => "window_start",
            Self::WindowEnd => "window_end",
            Self::WindowDate => "window_date",
            Self::WindowEndDate => "window_end_date",
            Self::Zone => "zone",
            Self::UtcOffset => "utc_offset",
            Self::WindowHours => "window_hours",
            Self::PastStart => "past_start",
            Self::PastEnd => "past_end",
            Self::PastDate => "past_date",
        }
    }

    /// Finds a parameter by its name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|parameter| parameter.name() == name)
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ":{}", self.name())
    }
}
